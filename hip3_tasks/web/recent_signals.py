"""The newest signals and the outcome of each capture."""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.status.line_counts import NO_RECORD
from hip3_tasks.status.trips import ANY_TAKER, Order, SignalTrips, Taker

MAX_SIGNALS = 2_000
BPS_DIGITS = USD_DIGITS = 2


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
    """The move of the mid."""
    round_trip_bps: float | None = None
    """The result of a taker who leaves here; None if he is not in, or the way out is not known."""
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
    usd: float | None = None
    """The notional of the touch at T0."""
    order: Order | None = None
    """The fate of an order at that touch, by the first follow-up; None while it is not known."""
    cells: list[HorizonCell] = field(default_factory=list)

    def judge(self, trips: SignalTrips) -> None:
        """Show what a taker had so far."""
        self.order = trips.order
        for cell in self.cells:
            trip_bps = trips.round_trip_bps(cell.offset_ms)
            cell.round_trip_bps = None if trip_bps is None else _bps(trip_bps)


class RecentSignals:
    """The last MAX_SIGNALS signals of the files, and which of them changed."""

    def __init__(self, taker: Taker = ANY_TAKER) -> None:
        self._taker = taker
        self._rows: OrderedDict[str, SignalRow] = OrderedDict()
        self._trips: dict[str, SignalTrips] = {}
        self._changed: dict[str, None] = {}

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """Take a decoded line. One that is no record, or whose signal is not kept, is left out."""
        with suppress(*NO_RECORD):
            if kind == "signals":
                trips = SignalTrips(record, self._taker)
                row = _signal(record, trips.usd)
                self._rows[row.signal_id], self._trips[row.signal_id] = row, trips
                if len(self._rows) > MAX_SIGNALS:
                    dropped, _ = self._rows.popitem(last=False)
                    del self._trips[dropped]
                    self._changed.pop(dropped, None)
            else:
                row, trips = self._rows[record["signal_id"]], self._trips[record["signal_id"]]
                number = [cell.offset_ms for cell in row.cells].index(record["offset_ms"])
                cell = _missed(record) if kind == "missed" else _captured(record)
                if kind == "followups":
                    trips.take(record)
                row.cells[number] = cell
                row.judge(trips)
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


def _signal(record: dict[str, Any], usd: float | None) -> SignalRow:
    return SignalRow(
        signal_id=str(record["signal_id"]),
        coin=str(record["market_key"]),
        side=Side(record["side"]),
        at_ms=int(record["timestamp_ms"]),
        raw_edge_bps=_bps(record["raw_edge_bps"]),
        net_edge_bps=_bps(record["net_edge_bps"]),
        threshold_bps=_bps(record["threshold_bps"]),
        usd=None if usd is None else round(usd, USD_DIGITS),
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
