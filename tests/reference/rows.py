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
                "oracle_age_ms": line.get("oracle_age_ms"),
                "lag_ms": line.get("lag_ms"),
                "spread_bps": _spread_bps(line.get("bid_px"), line.get("ask_px")),
                "trigger": line.get("trigger"),
                "t0_px": line.get("best_px"),
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
        absent = {"unread": [], "watched": None, "never_heard": [], "absent_coins": {}}
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


def _spread_bps(bid_px: float | None, ask_px: float | None) -> float | None:
    return (
        None if bid_px is None or ask_px is None else float(np.float32((ask_px - bid_px) / (bid_px + ask_px) * 20_000))
    )


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


def _band(name: str, breaks: tuple[float, ...], unit: str) -> tuple[Callable[[Row], str], Callable[[str], Any]]:
    low_high = [(-inf, breaks[0]), *pairwise(breaks), (breaks[-1], inf)]
    names = [
        f"< {high:g} {unit}" if low == -inf else f">= {low:g} {unit}" if high == inf else f"{low:g}-{high:g} {unit}"
        for low, high in low_high
    ]

    def label(row: Row) -> str:
        if row.get(name) is None:
            return "unknown"
        ((place, _),) = [(place, low) for place, (low, high) in enumerate(low_high) if low <= row[name] < high]
        return names[place]

    return label, [*names, "unknown"].index


BY: dict[str, tuple[Callable[[Row], str], Callable[[str], Any]]] = {
    "market": (lambda row: row["market"], str),
    "side": (lambda row: row["side"], ["buy", "sell"].index),
    "session": (_session, SESSIONS.index),
    "edge": _band("edge_t0_bps", (5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0), "bps"),
    "oracle-age": _band("oracle_age_ms", (100, 300, 700, 3000), "ms"),
    "spread": _band("spread_bps", (1, 2, 5, 10, 20, 50), "bps"),
    "lag": _band("lag_ms", (150, 250, 350, 500, 1000), "ms"),
    "size": _band("usd", (10, 100, 1000, 10_000, 100_000), "USD"),
    "trigger": (lambda row: row.get("trigger") or "unknown", ["bbo", "ctx", "unknown"].index),
    "hour": (lambda row: f"{datetime.fromtimestamp(row['t0_ms'] / 1000, UTC):%H}:00", str),
}


def grouping(by: str) -> tuple[Callable[[Row], str], Callable[[str], Any]]:
    """The name of a row's group, and the place of a name."""
    labels, orders = zip(*(BY[part] for part in by.split(",")), strict=True)

    def label(row: Row) -> str:
        return ", ".join(label(row) for label in labels)

    def order(name: str) -> list[Any]:
        return [order(part) for order, part in zip(orders, name.split(", "), strict=True)]

    return label, order


def add_properties(signals: list[Row], rows: list[Row]) -> None:
    """Add what only signals tell to the rows of follow-ups."""
    known = {(row["market"], row["t0_ms"]): row for row in signals}
    for row in rows:
        signal = known.get((row["market"], row["t0_ms"]), {})
        row |= {name: signal.get(name) for name in ("oracle_age_ms", "lag_ms", "spread_bps", "usd", "trigger")}
