"""Generated data directories for tests: lines in any form, and random signals."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hip3_tasks.domain.capture import utc_day
from hip3_tasks.domain.edge import Side, moved_bps
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Record, Signal
from tests.support.factories import a_followup, a_missed, a_signal

KINDS = {Signal: "signals", Followup: "followups", Missed: "missed"}
FIRST_COLUMNS = 16
"""Number of a follow-up's first columns, which files of other programs also have."""
OFFSETS_MS = (1000, 3000, 5000)
MINUTE_MS = 60_000


class Directory:
    """A data directory with each record in the file of its day."""

    def __init__(self, path: Path, *, foreign: bool = False) -> None:
        """`foreign`: only with the columns of every such file."""
        path.mkdir(exist_ok=True)
        self.path, self.foreign = path, foreign

    def add(self, *records: Record) -> None:
        for record in records:
            line = self._foreign(record) if self.foreign else record.line()
            with self.file(record).open("ab") as file:
                file.write(line)

    def file(self, record: Record) -> Path:
        assert isinstance(record, Signal | Followup | Missed)
        at_ms = record.timestamp_ms if isinstance(record, Signal) else record.signal_timestamp_ms
        return self.path / f"{KINDS[type(record)]}_{utc_day(at_ms)}.jsonl"

    def _foreign(self, record: Record) -> bytes:
        values = json.loads(record.line())
        if isinstance(record, Followup):
            values = dict(list(values.items())[:FIRST_COLUMNS])
        there = {name: value for name, value in values.items() if name not in ("threshold_bps", "offsets_ms")}
        return json.dumps(there).encode() + b"\n"


def outcomes(
    signal: Signal, chance: random.Random, *, missed: float = 0.05, one_sided: float = 0.1, mid_bps: float = 3.0
) -> list[Record]:
    """Outcomes with various edges; some are missed, some lack a markout; `mid_bps` is the mean move of the rest."""
    records: list[Record] = []
    for offset_ms in signal.offsets_ms:
        if chance.random() < missed:
            reason = chance.choice(list(MissedReason))
            records.append(a_missed(signal, offset_ms, reason=reason))
            continue
        kept = 1.0 if chance.random() < 0.1 else chance.gauss(1 - offset_ms / 9000, 0.4)
        edge_bps = signal.raw_edge_bps * kept
        came_bps = chance.uniform(-1, 2) * (signal.raw_edge_bps - edge_bps)
        sign, is_one_sided = signal.side.sign, chance.random() < one_sided
        touch_px = signal.best_px if chance.random() < 0.4 else signal.best_px * (1 + sign * came_bps / 1e4)
        other_px = None if is_one_sided else signal.best_px * (1 + sign * chance.gauss(mid_bps - 4, 10) / 1e4)
        own, other = ("ask", "bid") if sign > 0 else ("bid", "ask")
        moves = {
            "raw_edge_bps": edge_bps,
            "edge_change_bps": edge_bps - signal.raw_edge_bps,
            "best_px": touch_px,
            f"{own}_px": touch_px,
            f"{other}_px": other_px,
            f"{other}_sz": None if is_one_sided else chance.choice([0.02, 1.5, 30.0]),
            "market_moved_bps": moved_bps(from_px=signal.best_px, to_px=touch_px),
            "oracle_moved_bps": -sign * (signal.raw_edge_bps - edge_bps - came_bps),
            "markout_bps": None if is_one_sided else chance.gauss(mid_bps, 10),
            "captured_at_ms": signal.timestamp_ms + offset_ms + chance.randrange(-2, 40),
        }
        records.append(a_followup(signal, offset_ms, **moves))
    return records


def signals(chance: random.Random, coins: Sequence[str], *, from_ms: int, minutes: int, **changes: Any) -> list[Signal]:
    """Random signals on both sides, up to two per coin and minute."""
    chosen = {}
    for coin in coins:
        for minute in range(minutes):
            for _ in range(chance.choice([0, 1, 1, 2, 2])):
                at_ms = from_ms + minute * MINUTE_MS + chance.randrange(MINUTE_MS)
                edge_bps = round(chance.expovariate(0.12) + 6.9, 6)
                values: dict[str, Any] = {
                    "raw_edge_bps": edge_bps,
                    "net_edge_bps": edge_bps - 1.9,
                    "threshold_bps": 6.9,
                }
                values["side"] = chance.choice([Side.BUY, Side.BUY, Side.SELL])
                chosen[coin, at_ms] = a_signal(coin, at_ms=at_ms, **(values | changes))
    return sorted(chosen.values(), key=lambda signal: signal.timestamp_ms)
