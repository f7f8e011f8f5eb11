"""Round trips for the slow report: prices in, prices out, costs, dollars."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.reference.draws import Clusters, mean_of, share_of
from tests.reference.rows import Row, Tree, costs_of, difference
from tests.reference.tape import JUDGED_MS, covered, orders_by_tape

MIN_USD = 10.0
PROPERTIES = ("market", "side", "t0_ms", "edge_t0_bps", "oracle_age_ms", "lag_ms", "spread_bps", "usd", "trigger")
"""The properties of its signal by which a trip may be grouped."""
SLIPPAGE_BPS = 1.0


def add_results(signals: list[Row], followups: list[Row], cost_bps: float | None) -> None:
    """Add the costs of signals, and the results of their follow-ups after costs."""
    for row in signals:
        if row["fee_bps"] is None:
            row["fee_bps"] = max(0.0, row["cost_bps"] - SLIPPAGE_BPS)
        row["trip_cost_bps"] = 2 * row["fee_bps"] + (row["cost_bps"] - row["fee_bps"])
    names = ("cost_bps", "fee_bps", "trip_cost_bps")
    mid_cost, one_fee, trip_cost = (costs_of(signals, cost_bps, name) for name in names)
    for row in signals:
        row["order_cost_bps"] = trip_cost(row)
    for row in followups:
        row["net_bps"] = difference(row["markout_bps"], mid_cost(row))
        row["trip_cost_bps"] = trip_cost(row)
        row["taken_bps"] = row["round_trip_bps"] = None
        if row["exit_px"] is not None:
            mid_px = (row["touch_px"] + row["exit_px"]) / 2
            row["taken_bps"] = difference(_moved_bps(row["sign"], row["t0_px"], mid_px), one_fee(row))
            row["round_trip_bps"] = difference(_moved_bps(row["sign"], row["t0_px"], row["exit_px"]), trip_cost(row))


def _moved_bps(sign: int, from_px: float, to_px: float) -> float:
    return sign * (to_px / from_px - 1) * 10_000


def usual_offsets(followups: list[Row]) -> list[int]:
    counts = Counter(row["offset_ms"] for row in followups)
    return sorted(offset for offset, count in counts.items() if 2 * count >= max(counts.values()))


def trips_of(signals: list[Row], followups: list[Row], dirs: Sequence[Path] = ()) -> list[Row]:
    """An order for each signal that a tape covers, for each latency and offset; for each other one with a first
    follow-up, for each later offset. Also those that are too small.
    """
    offsets_ms = usual_offsets(followups)
    by_tape = [*covered(signals, dirs, offsets_ms)]
    exact = [order for signal, tape in by_tape for order in orders_by_tape(signal, tape, offsets_ms)]
    known = {(signal["market"], signal["t0_ms"]) for signal, _ in by_tape}
    rest = [row for row in followups if (row["market"], row["t0_ms"]) not in known]
    return [_by_tape(order, max(offsets_ms)) for order in exact] + _by_followups(signals, rest, offsets_ms)


def _by_tape(order: Row, longest_ms: int) -> Row:
    signal, way_in_px = order["signal"], order["entry_px"]
    sign = 1 if signal["side"] == "buy" else -1
    had = way_in_px is not None and sign * way_in_px <= sign * signal["t0_px"]
    order_usd = _least(signal["usd"], order["entry_usd"])
    result = None
    if had and order["exit_px"] is not None:
        result = difference(_moved_bps(sign, way_in_px, order["exit_px"]), signal["order_cost_bps"])
    return {
        **{name: signal[name] for name in PROPERTIES},
        "latency_ms": order["latency_ms"],
        "held_ms": order["held_ms"],
        "by_tape": True,
        "is_judged": (order["latency_ms"], order["held_ms"]) == (JUDGED_MS, longest_ms),
        "is_small": order_usd is not None and order_usd < MIN_USD,
        "had": had,
        "round_trip_bps": result,
        "size_usd": None if result is None else _least(order_usd, order["exit_usd"]),
    }


def _by_followups(signals: list[Row], followups: list[Row], offsets_ms: list[int]) -> list[Row]:
    latency_ms, *later_ms = offsets_ms
    usd_at_t0 = {(row["market"], row["t0_ms"]): row["usd"] for row in signals}
    by_signal: dict[Any, dict[int, Row]] = defaultdict(dict)
    for row in followups:
        by_signal[row["market"], row["t0_ms"]][row["offset_ms"]] = row
    trips = []
    for key, its_followups in by_signal.items():
        entry = its_followups.get(latency_ms)
        for offset_ms in later_ms if entry else ():
            assert entry is not None
            had = entry["sign"] * entry["touch_px"] <= entry["sign"] * entry["t0_px"]
            way_out = its_followups.get(offset_ms) or {"exit_px": None, "exit_usd": None}
            order_usd = _least(usd_at_t0.get(key), entry["touch_usd"])
            result = None
            if had and way_out["exit_px"] is not None:
                move_bps = _moved_bps(entry["sign"], entry["touch_px"], way_out["exit_px"])
                result = difference(move_bps, entry["trip_cost_bps"])
            trips.append(
                {
                    **{name: entry[name] for name in PROPERTIES},
                    "latency_ms": latency_ms,
                    "held_ms": offset_ms - latency_ms,
                    "by_tape": False,
                    "is_judged": offset_ms == max(later_ms),
                    "is_small": order_usd is not None and order_usd < MIN_USD,
                    "had": had,
                    "round_trip_bps": result,
                    "size_usd": None if result is None else _least(order_usd, way_out["exit_usd"]),
                }
            )
    return trips


def _least(*amounts: float | None) -> float | None:
    return min((usd for usd in amounts if usd is not None), default=None)


def judged_orders(trips: list[Row]) -> list[Row]:
    """The orders by which the report judges, without those that are too small."""
    return [row for row in trips if row["is_judged"] and not row["is_small"]]


def taken(trips: list[Row], by_tape: int) -> Tree | None:
    """`by_tape` is the number of signals whose orders the tape tells."""
    ways = {row["by_tape"]: (row["latency_ms"], row["held_ms"]) for row in trips if row["is_judged"]}
    kept = {row["by_tape"] for row in trips if not row["is_small"]}
    if not kept:
        return None
    latency_ms, held_ms = ways[by_tape > 0]
    return {
        "latency_ms": latency_ms,
        "held_ms": held_ms,
        "min_notional_usd": MIN_USD,
        "too_small": sum(row["is_small"] and row["is_judged"] for row in trips),
        "by_tape": by_tape,
        "by_followups": [*ways[False]] if False in kept else None,
    }


def judged_measures(trips: list[Row], clusters: Clusters, days: float, taken: Tree | None) -> Tree | None:
    if taken is None:
        return None
    way = {"latency_ms": taken["latency_ms"], "held_ms": taken["held_ms"], "by_tape": taken["by_tape"] > 0}
    measures = trip_measures([row | way for row in judged_orders(trips)], clusters, days)
    return measures[0] if measures else None


def trip_measures(trips: list[Row], clusters: Clusters, days: float) -> list[Tree]:
    known = [row for row in trips if not row["is_small"]]
    measures = []
    ways = {(row["latency_ms"], row["by_tape"], row["held_ms"]) for row in known}
    for latency_ms, by_tape, held_ms in sorted(ways):
        way = {"latency_ms": latency_ms, "held_ms": held_ms, "by_tape": by_tape}
        rows = [row for row in known if row.items() >= way.items()]
        done = [row for row in rows if row["round_trip_bps"] is not None]
        sized = [row for row in done if row["size_usd"] is not None]
        gain_usd = sum(row["round_trip_bps"] / 10_000 * row["size_usd"] for row in sized)
        measures.append(
            {
                "latency_ms": latency_ms,
                "held_ms": held_ms,
                "n": len(rows),
                "clusters": clusters.number(done),
                "had": clusters.estimate(rows, mean_of("had")),
                "trips": len(done),
                "round_trip_bps": clusters.estimate(done, mean_of("round_trip_bps")),
                "round_trip_won": clusters.estimate(done, share_of("round_trip_bps", lambda bps: bps > 0)),
                "round_trip_sized_bps": clusters.estimate(
                    sized, lambda row: (row["round_trip_bps"] * row["size_usd"], row["size_usd"])
                ),
                "notional_usd": sum(row["size_usd"] for row in sized) / len(sized) if sized else None,
                "gain_usd": gain_usd if sized else None,
                "gain_usd_a_day": gain_usd / days if sized else None,
                "by_tape": by_tape,
            }
        )
    return measures
