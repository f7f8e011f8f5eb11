"""Every number of a report, computed again in slow plain Python from the definitions, not from the product's code.

It uses only the drawn weights and the documented constants of the product.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil, inf
from pathlib import Path
from statistics import fmean, median

from hip3_tasks.analysis.measure.horizons import QUANTILES
from hip3_tasks.analysis.reporting.model import LATENESS_QUANTILES
from tests.reference.draws import Clusters, Ratio, cluster_ms_of, estimate, mean_of, share_of
from tests.reference.rows import Files, Row, Tree, add_properties, difference, grouping, one_sided, shrank
from tests.reference.search import add_priority_fees, search
from tests.reference.tape import covered
from tests.reference.trips import add_results, judged_measures, taken, trip_measures, trips_of, usual_offsets


def slow_report(*dirs: Path, by: str, cost_bps: float | None, at_ms: int) -> Tree:
    """The expected value of `build_report(load(*dirs), by=..., ...).model_dump(mode="json")`."""
    files = Files(dirs)
    signals, followups, missed = files.signals(), files.followups(), files.missed()
    times = [row["t0_ms"] for row in signals or followups]
    assumed = sum(row["fee_bps"] is None for row in signals)
    add_results(signals, followups, cost_bps)
    add_properties(signals, followups)
    trips = trips_of(signals, followups, dirs)
    how = taken(trips, len([*covered(signals, dirs, usual_offsets(followups))]))
    offsets_ms = sorted({row["offset_ms"] for row in followups})
    cluster_ms = cluster_ms_of(min(times), max(times))
    clusters = Clusters(followups, cluster_ms)

    days = max(max(times) - min(times), 60_000) / 86_400_000

    def group(name: str, its_signals: list[Row], its_followups: list[Row], its_trips: list[Row]) -> Tree:
        its_group = _group(name, its_signals, its_followups, offsets_ms, clusters, cost_bps)
        return its_group | {
            "trips": trip_measures(its_trips, clusters, days),
            "judged": judged_measures(its_trips, clusters, days, how),
        }

    def search_for(more_bps: float) -> Tree | None:
        dearer = [row | {"round_trip_bps": difference(row["round_trip_bps"], more_bps)} for row in trips]
        when = {"first_ms": min(times), "last_ms": max(times), "cluster_ms": cluster_ms}
        return search(signals, followups, dearer, clusters, **when)

    thresholds = search_for(0.0)
    if thresholds and cost_bps is None:
        add_priority_fees(thresholds, search_for)
    label, order = grouping(by)
    labels = sorted({label(row) for row in [*signals, *followups]}, key=order)
    return {
        "made_at_ms": at_ms,
        "first_ms": min(times),
        "last_ms": max(times),
        "by": by,
        "cost_bps": cost_bps,
        "fees": {
            "tier_bps": 4.5,
            "staking_discount_pct": 0.0,
            "referral_discount_pct": 0.0,
            "builder_fee_bps": 0.0,
            "priority_fee_bps": 0.0,
        },
        "fees_assumed": assumed,
        "taken": how,
        "level": 0.9,
        "cluster_ms": cluster_ms,
        "summed_days": 0,
        "row_by_row": None,
        "markout_quantiles_within_bps": 0.0,
        "retention_median_within": 0.0,
        "quantiles": list(QUANTILES),
        "lateness_quantiles": list(LATENESS_QUANTILES),
        "notes": files.notes(),
        "coverage": _coverage(signals, followups, missed, offsets_ms),
        "lateness": [_lateness(offset_ms, followups) for offset_ms in offsets_ms],
        "total": group("all", signals, followups, trips),
        "groups": [
            group(name, *([row for row in rows if label(row) == name] for rows in (signals, followups, trips)))
            for name in labels
        ],
        "search": thresholds,
    }


def slow_trips(*dirs: Path, wanted: Callable[[Row], bool] = lambda _: True) -> list[Tree]:
    """The expected `trips` of the wanted signals, each with how many of its orders are too small."""
    files = Files(dirs)
    signals, followups = files.signals(), files.followups()
    add_results(signals, followups, None)
    add_properties(signals, followups)
    times = [row["t0_ms"] for row in signals]
    clusters = Clusters(followups, cluster_ms_of(min(times), max(times)))
    trips = [row for row in trips_of(signals, followups) if wanted(row)]
    too_small = Counter((row["latency_ms"], row["held_ms"]) for row in trips if row["is_small"])
    return [
        row | {"too_small": too_small[row["latency_ms"], row["held_ms"]]} for row in trip_measures(trips, clusters, 1.0)
    ]


def _coverage(signals: list[Row], followups: list[Row], missed: list[Row], offsets_ms: list[int]) -> Tree:
    expected = sum(_expected(row, offsets_ms) for row in signals)
    captures_by_market = Counter([*(row["market"] for row in followups), *(row["market_key"] for row in missed)])
    for row in signals:
        captures_by_market[row["market"]] -= _expected(row, offsets_ms)
    unexpected = sum(max(0, over) for over in captures_by_market.values())
    return {
        "signals": len(signals),
        "expected": expected,
        "expected_is_assumed": any(row["expected"] is None for row in signals),
        "captured": len(followups),
        "missed": dict(Counter(row["reason"] for row in missed)),
        "unowed": unexpected,
        "open": None if unexpected else expected - len(followups) - len(missed),
        "markets_with_signals": len({row["market"] for row in signals}),
        "markets_watched": None,
    }


def _expected(signal: Row, offsets_ms: list[int]) -> int:
    return len(offsets_ms) if signal["expected"] is None else int(signal["expected"])


def _lateness(offset_ms: int, followups: list[Row]) -> Tree:
    """Replayed rows, which are 0 ms late, do not count."""
    late_ms = sorted(row["late_ms"] for row in followups if row["offset_ms"] == offset_ms and row["late_ms"] != 0)
    if not late_ms:
        return {"offset_ms": offset_ms, "n": 0, "quantiles_ms": [None for _ in LATENESS_QUANTILES], "early": 0}
    quantiles = [late_ms[ceil(share * len(late_ms) - 1e-9) - 1] for share in LATENESS_QUANTILES]
    early = sum(ms < 0 for ms in late_ms)
    return {"offset_ms": offset_ms, "n": len(late_ms), "quantiles_ms": quantiles, "early": early}


def _book_came(row: Row) -> bool:
    return shrank(row) and row["market_part_bps"] >= row["oracle_part_bps"]


def _group(
    name: str,
    signals: list[Row],
    followups: list[Row],
    offsets_ms: list[int],
    clusters: Clusters,
    cost_bps: float | None,
) -> Tree:
    rows_by_offset = {
        offset_ms: [row for row in followups if row["offset_ms"] == offset_ms] for offset_ms in offsets_ms
    }
    rows_by_offset = {offset_ms: rows for offset_ms, rows in rows_by_offset.items() if rows}
    costs = [row["cost_bps"] for row in signals]
    return {
        "name": name,
        "signals": len(signals),
        "expected": sum(_expected(row, offsets_ms) for row in signals),
        "captured": len(followups),
        "cost_bps": cost_bps if cost_bps is not None else fmean(costs) if costs else None,
        "one_sided": one_sided(followups) if followups else None,
        "half_life": _half_life(rows_by_offset, clusters),
        "horizons": [_horizon(offset_ms, rows, clusters) for offset_ms, rows in rows_by_offset.items()],
    }


def _horizon(offset_ms: int, rows: list[Row], clusters: Clusters) -> Tree:
    retained = [row["edge_bps"] / row["edge_t0_bps"] for row in rows if row["edge_t0_bps"] > 0]
    markouts = sorted(row["markout_bps"] for row in rows if row["markout_bps"] is not None)

    def band(ratio: Ratio) -> Tree:
        return clusters.estimate(rows, ratio)

    return {
        "offset_ms": offset_ms,
        "n": len(rows),
        "clusters": clusters.number(rows),
        "edge_t0_bps": band(mean_of("edge_t0_bps")),
        "edge_bps": band(mean_of("edge_bps")),
        "retention": band(_retention),
        "retention_mean": fmean(retained) if retained else None,
        "retention_median": median(retained) if retained else None,
        "market_part_bps": band(mean_of("market_part_bps")),
        "oracle_part_bps": band(mean_of("oracle_part_bps")),
        "valid": band(lambda row: (shrank(row), 1)),
        "book_came": band(lambda row: (_book_came(row), 1)),
        "oracle_came": band(lambda row: (shrank(row) and not _book_came(row), 1)),
        "unmoved": fmean(row["edge_bps"] == row["edge_t0_bps"] for row in rows),
        "widened": fmean(row["edge_bps"] > row["edge_t0_bps"] for row in rows),
        "markout_n": len(markouts),
        "markout_bps": band(mean_of("markout_bps")),
        "markout_quantiles_bps": [_quantile(markouts, share) for share in QUANTILES],
        "hit": band(share_of("markout_bps", lambda bps: bps > 0)),
        "net_bps": band(mean_of("net_bps")),
        "won": band(share_of("net_bps", lambda bps: bps > 0)),
        "taken_bps": band(mean_of("taken_bps")),
        "round_trip_bps": band(mean_of("round_trip_bps")),
        "round_trip_won": band(share_of("round_trip_bps", lambda bps: bps > 0)),
    }


def _retention(row: Row) -> tuple[float, float]:
    return row["edge_bps"], row["edge_t0_bps"]


def _quantile(ordered: list[float], share: float) -> float | None:
    """The quantile by linear interpolation between the two nearest values."""
    if not ordered:
        return None
    whole, part = divmod(share * (len(ordered) - 1), 1)
    after = ordered[min(int(whole) + 1, len(ordered) - 1)]
    return ordered[int(whole)] + part * (after - ordered[int(whole)])


def _half_life(rows_by_offset: Mapping[int, list[Row]], clusters: Clusters) -> Tree | None:
    if not rows_by_offset or any(not sum(row["edge_t0_bps"] for row in rows) for rows in rows_by_offset.values()):
        return None
    times_s = [offset_ms / 1000 for offset_ms in rows_by_offset]
    values, drawn, _ = zip(*(clusters.ratio(rows, _retention) for rows in rows_by_offset.values()), strict=True)
    min_clusters = min(clusters.number(rows) for rows in rows_by_offset.values())
    curves = zip(*drawn, strict=True)
    band = estimate(_halved_s(times_s, values), [_halved_s(times_s, curve) for curve in curves], min_clusters)
    within = {f"{end}_s": None if band[end] in (None, inf) else band[end] for end in band}
    return {**within, "has_band": band["low"] is not None}


def _halved_s(times_s: Sequence[float], retentions: Iterable[float]) -> float:
    """The time when the lines that start at (0, 1) first reach one half; infinite if they never do."""
    for (from_s, before), (to_s, after) in pairwise([(0.0, 1.0), *zip(times_s, retentions, strict=True)]):
        if before > 0.5 >= after:
            return from_s + (to_s - from_s) * (before - 0.5) / (before - after)
    return inf
