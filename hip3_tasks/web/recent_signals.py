"""The newest signals and the outcome of each capture."""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.status.line_counts import NO_RECORD

MAX_SIGNALS = 2_000
BPS_DIGITS = 2


@dataclass(slots=True, kw_only=True)
class HorizonCell:
    """One horizon of a signal; `outcome` is None until it is captured or missed."""

    offset_ms: int
    outcome: str | None = None
    """The outcome of the follow-up, or `missed`."""
    edge_change_bps: float | None = None
    """The change of the edge; negative if it shrank."""
    raw_edge_bps: float | None = None
    markout_bps: float | None = None
    late_ms: int | None = None
    why: str | None = None
    """The reason why the capture was missed."""


@dataclass(slots=True, kw_only=True)
class SignalRow:
    """A signal with its horizons, the nearest first."""

    signal_id: str
    coin: str
    side: Side
    at_ms: int
    raw_edge_bps: float
    net_edge_bps: float
    threshold_bps: float
    cells: list[HorizonCell] = field(default_factory=list)


class RecentSignals:
    """The last MAX_SIGNALS signals of the files, and which of them changed."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, SignalRow] = OrderedDict()
        self._changed: dict[str, None] = {}

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """Take a decoded line. One that is no record, or whose signal is not kept, is left out."""
        with suppress(*NO_RECORD):
            if kind == "signals":
                row = _signal(record)
                self._rows[row.signal_id] = row
                if len(self._rows) > MAX_SIGNALS:
                    self._changed.pop(self._rows.popitem(last=False)[0], None)
            else:
                row = self._rows[record["signal_id"]]
                number = [cell.offset_ms for cell in row.cells].index(record["offset_ms"])
                row.cells[number] = _missed(record) if kind == "missed" else _captured(record)
            self._changed[row.signal_id] = None

    def changed(self) -> list[SignalRow]:
        """The signals that changed since the last call."""
        changed, self._changed = self._changed, {}
        return [self._rows[signal_id] for signal_id in changed]

    def newest(self, limit: int) -> list[SignalRow]:
        """The last signals, newest first."""
        return list(islice(reversed(self._rows.values()), limit))

    def find(self, signal_id: str) -> SignalRow | None:
        return self._rows.get(signal_id)


def _signal(record: dict[str, Any]) -> SignalRow:
    return SignalRow(
        signal_id=str(record["signal_id"]),
        coin=str(record["market_key"]),
        side=Side(record["side"]),
        at_ms=int(record["timestamp_ms"]),
        raw_edge_bps=_bps(record["raw_edge_bps"]),
        net_edge_bps=_bps(record["net_edge_bps"]),
        threshold_bps=_bps(record["threshold_bps"]),
        cells=[HorizonCell(offset_ms=int(offset_ms)) for offset_ms in sorted(record["offsets_ms"])],
    )


def _captured(record: dict[str, Any]) -> HorizonCell:
    markout_bps = record["markout_bps"]
    return HorizonCell(
        offset_ms=int(record["offset_ms"]),
        outcome=Outcome.from_line(record),
        edge_change_bps=_bps(record["edge_change_bps"]),
        raw_edge_bps=_bps(record["raw_edge_bps"]),
        markout_bps=None if markout_bps is None else _bps(markout_bps),
        late_ms=int(record["captured_at_ms"]) - int(record["due_at_ms"]),
    )


def _missed(record: dict[str, Any]) -> HorizonCell:
    detail = record.get("detail")
    why = str(record["reason"]) + (f": {detail}" if detail else "")
    return HorizonCell(offset_ms=int(record["offset_ms"]), outcome="missed", why=why)


def _bps(number: Any) -> float:
    return round(float(number), BPS_DIGITS)
