"""The rows of the slow report, read from the lines of the files, and their groups."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from hip3_tasks.analysis.measure.grouping import EDGE_BREAKS_BPS

Row = dict[str, Any]
Tree = dict[str, Any]

NEW_YORK = ZoneInfo("America/New_York")
SESSIONS = ("regular", "extended", "weekend")


@dataclass
class Files:
    dirs: Sequence[Path]
    read: list[Tree] = field(default_factory=list)
    duplicates: dict[str, int] = field(default_factory=dict)
    keys: dict[str, set[Any]] = field(default_factory=dict)

    def signals(self) -> list[Row]:
        return [
            {
                "market": line["market_key"],
                "side": line["side"],
                "t0_ms": int(line["timestamp_ms"]),
                "edge_t0_bps": line["raw_edge_bps"],
                "cost_bps": round(line["raw_edge_bps"] - line["net_edge_bps"], 9),
                "threshold_bps": line.get("threshold_bps"),
                "expected": None if line.get("offsets_ms") is None else len(line["offsets_ms"]),
                "fee_bps": line.get("taker_fee_bps"),
                "usd": product(line.get("best_px"), line.get("best_size")),
            }
            for line in self._lines("signals", lambda line: line["signal_id"])
        ]

    def followups(self) -> list[Row]:
        rows = []
        for line in self._lines("followups", lambda line: (line["signal_id"], line["offset_ms"])):
            sign = {"buy": 1, "sell": -1}[line["side"]]
            rows.append(
                {
                    "market": line["market_key"],
                    "side": line["side"],
                    "t0_ms": int(line["signal_timestamp_ms"]),
                    "offset_ms": int(line["offset_ms"]),
                    "late_ms": int(line["captured_at_ms"] - line["signal_timestamp_ms"] - line["offset_ms"]),
                    "edge_t0_bps": line["t0_raw_edge_bps"],
                    "edge_bps": line["raw_edge_bps"],
                    "market_part_bps": sign * line["market_moved_bps"],
                    "oracle_part_bps": -sign * line["oracle_moved_bps"],
                    "markout_bps": line.get("markout_bps"),
                    "sign": sign,
                    "t0_px": line.get("t0_best_px"),
                    "touch_px": line.get("best_px"),
                    "exit_px": line.get("bid_px" if sign > 0 else "ask_px"),
                    "touch_usd": product(line.get("best_px"), line.get("best_size")),
                    "exit_usd": product(*(line.get(f"{'bid' if sign > 0 else 'ask'}_{what}") for what in ("px", "sz"))),
                }
            )
        return rows

    def missed(self) -> list[Row]:
        lines = self._lines("missed", lambda line: (line["signal_id"], line["offset_ms"]))
        captured = self.keys["followups"]
        rows = [line for line in lines if (line["signal_id"], line["offset_ms"]) not in captured]
        self._note_duplicates("missed", len(lines) - len(rows))
        return rows

    def notes(self) -> Tree:
        dirs = sorted({str(Path(note["file"]).parent) for note in self.read})
        absent = {"watched": None, "never_heard": [], "absent_coins": {}}
        return {"dirs": dirs, "files": self.read, "duplicates": self.duplicates, **absent}

    def _lines(self, kind: str, key: Callable[[Any], Any]) -> list[Any]:
        """The records of all days and directories, each once."""
        records_by_key: dict[Any, Any] = {}
        lines = 0
        paths = {path for data_dir in self.dirs for path in data_dir.resolve().glob(f"{kind}_*.jsonl")}
        for path in sorted(paths, key=lambda path: (path.name, path)):
            *whole, torn = path.read_bytes().split(b"\n")
            records, broken = [], []
            for number, line in enumerate(whole, start=1):
                try:
                    records += [json.loads(line)] if line.strip() else []
                except ValueError:
                    broken.append(number)
            self.read.append(
                {
                    "file": str(path),
                    "kind": kind,
                    "rows": len(records),
                    "broken": len(broken),
                    "broken_lines": broken[:5],
                    "gone": False,
                    "torn_bytes": len(torn),
                }
            )
            lines += len(records)
            for record in records:
                records_by_key.setdefault(key(record), record)
        self.keys[kind] = set(records_by_key)
        self._note_duplicates(kind, lines - len(records_by_key))
        return list(records_by_key.values())

    def _note_duplicates(self, kind: str, number: int) -> None:
        if number:
            self.duplicates[kind] = self.duplicates.get(kind, 0) + number


def product(px: float | None, sz: float | None) -> float | None:
    """A notional in dollars, to the 24 bits that the product keeps of it."""
    return None if px is None or sz is None else float(np.float32(px * sz))


def costs_of(signals: list[Row], cost_bps: float | None, name: str = "cost_bps") -> Callable[[Row], float | None]:
    """Function from a follow-up to the cost of its signal, else of the market's last signal before, or its first."""
    signals_by_market = defaultdict(list)
    for row in sorted(signals, key=lambda row: row["t0_ms"]):
        signals_by_market[row["market"]].append(row)

    def cost_of(followup: Row) -> float | None:
        if cost_bps is not None:
            return cost_bps
        its_signals = signals_by_market.get(followup["market"], [])
        before = [row[name] for row in its_signals if row["t0_ms"] <= followup["t0_ms"]]
        return (before[-1:] or [row[name] for row in its_signals] or [None])[0]

    return cost_of


def difference(upper: float | None, lower: float | None) -> float | None:
    return None if upper is None or lower is None else upper - lower


def shrank(row: Row) -> bool:
    return bool(row["edge_bps"] - row["edge_t0_bps"] < 0)


def one_sided(rows: list[Row]) -> float:
    (most, *_) = Counter(row["side"] for row in rows).most_common(1)
    return most[1] / len(rows)


def _session(row: Row) -> str:
    there = datetime.fromtimestamp(row["t0_ms"] / 1000, UTC).astimezone(NEW_YORK)
    week_began = there.replace(tzinfo=None) - timedelta(days=there.weekday())
    into_week = there.replace(tzinfo=None) - week_began.replace(hour=0, minute=0, second=0, microsecond=0)
    if timedelta(days=4, hours=20) <= into_week < timedelta(days=6, hours=20):
        return "weekend"
    into_day = into_week % timedelta(days=1)
    opens = timedelta(hours=9, minutes=30) <= into_day < timedelta(hours=16)
    return "regular" if opens and there.weekday() < 5 else "extended"


def _edge(row: Row) -> str:
    low_high = [(-inf, EDGE_BREAKS_BPS[0]), *pairwise(EDGE_BREAKS_BPS), (EDGE_BREAKS_BPS[-1], inf)]
    ((low, high),) = [(low, high) for low, high in low_high if low <= row["edge_t0_bps"] < high]
    return f"< {high:g} bps" if low == -inf else f">= {low:g} bps" if high == inf else f"{low:g}-{high:g} bps"


BY: dict[str, tuple[Callable[[Row], str], Callable[[str], Any]]] = {
    "market": (lambda row: row["market"], str),
    "side": (lambda row: row["side"], ["buy", "sell"].index),
    "session": (_session, SESSIONS.index),
    "edge": (_edge, lambda name: (name[0] != "<", name[0] == ">", float(name.strip("<>= bps").split("-")[0]))),
    "hour": (lambda row: f"{datetime.fromtimestamp(row['t0_ms'] / 1000, UTC):%H}:00", str),
}
