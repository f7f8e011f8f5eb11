"""Round trips for the slow report: prices in, prices out, costs, dollars."""

from collections import Counter, defaultdict
from typing import Any

from tests.reference.draws import Clusters, mean_of, share_of
from tests.reference.rows import Row, Tree, costs_of, difference

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


def trips_of(signals: list[Row], followups: list[Row]) -> list[Row]:
    """An order for each signal with a first follow-up and for each later offset, also those that are too small."""
    latency_ms, *later_ms = usual_offsets(followups)
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
                    "is_small": order_usd is not None and order_usd < MIN_USD,
                    "had": had,
                    "round_trip_bps": result,
                    "size_usd": None if result is None else _least(order_usd, way_out["exit_usd"]),
                }
            )
    return trips


def _least(*amounts: float | None) -> float | None:
    return min((usd for usd in amounts if usd is not None), default=None)


def longest(trips: list[Row]) -> list[Row]:
    """The orders that are held longest, without those that are too small."""
    held_ms = max((row["held_ms"] for row in trips), default=0)
    return [row for row in trips if row["held_ms"] == held_ms and not row["is_small"]]


def taken(trips: list[Row]) -> Tree | None:
    at_longest = [row for row in trips if row["held_ms"] == max(trip["held_ms"] for trip in trips)]
    if all(row["is_small"] for row in trips):
        return None
    return {
        "latency_ms": at_longest[0]["latency_ms"],
        "held_ms": at_longest[0]["held_ms"],
        "min_notional_usd": MIN_USD,
        "too_small": sum(row["is_small"] for row in at_longest),
    }


def trip_measures(trips: list[Row], clusters: Clusters, days: float) -> list[Tree]:
    known = [row for row in trips if not row["is_small"]]
    measures = []
    for latency_ms, held_ms in sorted({(row["latency_ms"], row["held_ms"]) for row in known}):
        rows = [row for row in known if row["held_ms"] == held_ms]
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
            }
        )
    return measures
