"""A report's every number once more, slowly: plain Python over the lines, from the definitions and not from the code.

Of the code that is checked, it takes the drawn weights and the constants that are documented, and no more.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil, inf
from pathlib import Path
from statistics import fmean, median

from hip3_tasks.analysis.measure.horizons import QUANTILES
from hip3_tasks.analysis.report.model import LATENESS_QUANTILES
from tests.reference.draws import Clusters, Ratio, cluster_ms_of, estimate, mean_of
from tests.reference.rows import BY, Files, Row, Tree, costs_of, difference, one_sided, shrank
from tests.reference.search import search


def slow_report(*dirs: Path, by: str, cost_bps: float | None, at_ms: int) -> Tree:
    """As `build_report(load(*dirs), by=..., ...).model_dump(mode="json")` is to be."""
    files = Files(dirs)
    signals, followups, missed = files.signals(), files.followups(), files.missed()
    times = [row["t0_ms"] for row in signals or followups]
    cost_of = costs_of(signals, cost_bps)
    for row in followups:
        row["net_bps"] = difference(row["markout_bps"], cost_of(row))
    offsets_ms = sorted({row["offset_ms"] for row in followups})
    cluster_ms = cluster_ms_of(min(times), max(times))
    every = Clusters(followups, cluster_ms)

    def group(name: str, its_signals: list[Row], its_followups: list[Row]) -> Tree:
        return _group(name, its_signals, its_followups, offsets_ms, every, cost_bps)

    label, order = BY[by]
    labels = sorted({label(row) for row in [*signals, *followups]}, key=order)
    return {
        "made_at_ms": at_ms,
        "first_ms": min(times),
        "last_ms": max(times),
        "by": by,
        "cost_bps": cost_bps,
        "level": 0.9,
        "cluster_ms": cluster_ms,
        "quantiles": list(QUANTILES),
        "lateness_quantiles": list(LATENESS_QUANTILES),
        "notes": files.notes(),
        "coverage": _coverage(signals, followups, missed, offsets_ms),
        "lateness": [_lateness(offset_ms, followups) for offset_ms in offsets_ms],
        "total": group("all", signals, followups),
        "groups": [
            group(name, *([row for row in rows if label(row) == name] for rows in (signals, followups)))
            for name in labels
        ],
        "search": search(signals, followups, every, first_ms=min(times), last_ms=max(times), cluster_ms=cluster_ms),
    }


def _coverage(signals: list[Row], followups: list[Row], missed: list[Row], offsets_ms: list[int]) -> Tree:
    due = sum(_due(row, offsets_ms) for row in signals)
    of_market = Counter([*(row["market"] for row in followups), *(row["market_key"] for row in missed)])
    for row in signals:
        of_market[row["market"]] -= _due(row, offsets_ms)
    unowed = sum(max(0, over) for over in of_market.values())
    return {
        "signals": len(signals),
        "due": due,
        "due_is_assumed": any(row["due"] is None for row in signals),
        "captured": len(followups),
        "missed": dict(Counter(row["reason"] for row in missed)),
        "unowed": unowed,
        "open": None if unowed else due - len(followups) - len(missed),
        "markets_with_signals": len({row["market"] for row in signals}),
        "markets_watched": None,
    }


def _due(signal: Row, offsets_ms: list[int]) -> int:
    return len(offsets_ms) if signal["due"] is None else int(signal["due"])


def _lateness(offset_ms: int, followups: list[Row]) -> Tree:
    late_ms = sorted(row["late_ms"] for row in followups if row["offset_ms"] == offset_ms)
    quantiles = [late_ms[ceil(at * len(late_ms) - 1e-9) - 1] for at in LATENESS_QUANTILES]
    return {"offset_ms": offset_ms, "n": len(late_ms), "quantiles_ms": quantiles}


def _share(name: str, says: Callable[[float], bool]) -> Ratio:
    return lambda row: None if row[name] is None else (says(row[name]), 1)


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
    of_offset = {offset_ms: [row for row in followups if row["offset_ms"] == offset_ms] for offset_ms in offsets_ms}
    of_offset = {offset_ms: rows for offset_ms, rows in of_offset.items() if rows}
    costs = [row["cost_bps"] for row in signals]
    return {
        "name": name,
        "signals": len(signals),
        "due": sum(_due(row, offsets_ms) for row in signals),
        "captured": len(followups),
        "cost_bps": cost_bps if cost_bps is not None else fmean(costs) if costs else None,
        "one_sided": one_sided(followups) if followups else None,
        "half_life": _half_life(of_offset, clusters),
        "horizons": [_horizon(offset_ms, rows, clusters) for offset_ms, rows in of_offset.items()],
    }


def _horizon(offset_ms: int, rows: list[Row], clusters: Clusters) -> Tree:
    retained = [row["edge_bps"] / row["edge_t0_bps"] for row in rows if row["edge_t0_bps"] > 0]
    markouts = sorted(row["markout_bps"] for row in rows if row["markout_bps"] is not None)

    def of(ratio: Ratio) -> Tree:
        return clusters.estimate(rows, ratio)

    return {
        "offset_ms": offset_ms,
        "n": len(rows),
        "clusters": clusters.number(rows),
        "edge_t0_bps": of(mean_of("edge_t0_bps")),
        "edge_bps": of(mean_of("edge_bps")),
        "retention": of(_retention),
        "retention_mean": fmean(retained) if retained else None,
        "retention_median": median(retained) if retained else None,
        "market_part_bps": of(mean_of("market_part_bps")),
        "oracle_part_bps": of(mean_of("oracle_part_bps")),
        "valid": of(lambda row: (shrank(row), 1)),
        "book_came": of(lambda row: (_book_came(row), 1)),
        "oracle_came": of(lambda row: (shrank(row) and not _book_came(row), 1)),
        "unmoved": fmean(row["edge_bps"] == row["edge_t0_bps"] for row in rows),
        "widened": fmean(row["edge_bps"] > row["edge_t0_bps"] for row in rows),
        "markout_n": len(markouts),
        "markout_bps": of(mean_of("markout_bps")),
        "markout_quantiles_bps": [_quantile(markouts, at) for at in QUANTILES],
        "hit": of(_share("markout_bps", lambda bps: bps > 0)),
        "net_bps": of(mean_of("net_bps")),
        "won": of(_share("net_bps", lambda bps: bps > 0)),
    }


def _retention(row: Row) -> tuple[float, float]:
    return row["edge_bps"], row["edge_t0_bps"]


def _quantile(ordered: list[float], at: float) -> float | None:
    """On the straight line between the two nearest."""
    if not ordered:
        return None
    whole, part = divmod(at * (len(ordered) - 1), 1)
    after = ordered[min(int(whole) + 1, len(ordered) - 1)]
    return ordered[int(whole)] + part * (after - ordered[int(whole)])


def _half_life(of_offset: Mapping[int, list[Row]], clusters: Clusters) -> Tree | None:
    if not of_offset or any(not sum(row["edge_t0_bps"] for row in rows) for rows in of_offset.values()):
        return None
    times_s = [offset_ms / 1000 for offset_ms in of_offset]
    values, drawn, _ = zip(*(clusters.ratio(rows, _retention) for rows in of_offset.values()), strict=True)
    fewest = min(clusters.number(rows) for rows in of_offset.values())
    curves = zip(*drawn, strict=True)
    found = estimate(_halved_s(times_s, values), [_halved_s(times_s, curve) for curve in curves], fewest)
    within = {f"{end}_s": None if found[end] in (None, inf) else found[end] for end in found}
    return {**within, "has_band": found["low"] is not None}


def _halved_s(times_s: Sequence[float], retentions: Iterable[float]) -> float:
    """When the straight lines from (0, 1) on first come down to one half; infinite if never."""
    for (from_s, before), (to_s, after) in pairwise([(0.0, 1.0), *zip(times_s, retentions, strict=True)]):
        if before > 0.5 >= after:
            return from_s + (to_s - from_s) * (before - 0.5) / (before - after)
    return inf
