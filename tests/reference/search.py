"""The threshold search of the slow report."""

from collections.abc import Callable
from math import ceil, inf
from statistics import fmean

from hip3_tasks.analysis.measure.levels import GRID_BPS, IN_SAMPLE_SHARE
from hip3_tasks.analysis.measure.threshold_search import (
    CLAIM_P,
    MIN_CLUSTERS_TO_CHOOSE,
    STRUCTURAL_SHRANK,
    STRUCTURAL_SIDE,
)
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS, REPLICATES
from tests.reference.draws import Clusters, estimate, mean_of
from tests.reference.rows import Row, Tree, one_sided, shrank
from tests.reference.trips import judged_orders

Part = tuple[list[Row], list[Row]]
"""The orders of a part of the time, and its follow-ups at the longest offset."""


def search(
    signals: list[Row],
    followups: list[Row],
    trips: list[Row],
    clusters: Clusters,
    *,
    first_ms: int,
    last_ms: int,
    cluster_ms: int,
) -> Tree | None:
    if all(row["round_trip_bps"] is None for row in trips if not row["is_small"]):
        return None
    offset_ms = max(row["offset_ms"] for row in followups)
    split_at_ms = ceil(int(first_ms + IN_SAMPLE_SHARE * (last_ms - first_ms)) / cluster_ms) * cluster_ms
    at_offset = [row for row in followups if row["offset_ms"] == offset_ms]
    orders = judged_orders(trips)

    def parts(rows: list[Row], name: str) -> tuple[list[Row], list[Row]]:
        known = [row for row in rows if row[name] is not None]
        first = [row for row in known if row["t0_ms"] + row["due_after_ms"] < split_at_ms]
        return first, [row for row in known if row["t0_ms"] >= split_at_ms]

    had = parts([row | {"due_after_ms": row["latency_ms"] + row["held_ms"]} for row in orders], "round_trip_bps")
    marked = parts([row | {"due_after_ms": offset_ms} for row in at_offset], "net_bps")
    first, rest = zip(had, marked, strict=True)
    trials = {}
    for market in sorted({row["market"] for row in at_offset}):
        recorded_bps = _recorded_bps([row for row in signals if row["market"] == market], split_at_ms)
        if recorded_bps is None:
            recorded_bps = min(row["edge_t0_bps"] for row in followups if row["market"] == market)
        trials[market] = _Trial(market, recorded_bps, first, rest, clusters)
    tried = [rung for trial in trials.values() for rung in trial.rungs]
    judged = [trial.judged for trial in trials.values() if trial.judged and trial.judged.clusters >= MIN_CLUSTERS]
    first_chance, rest_chance = _chance(tried), _chance(judged)
    return {
        "offset_ms": offset_ms,
        "split_at_ms": split_at_ms,
        "tried": len(tried),
        "judged": len(judged),
        "choices": [
            _choice(_market(trial, at_offset, orders, clusters), trial, first_chance, rest_chance)
            for trial in trials.values()
        ],
        "at_priority_fees": [],
    }


def add_priority_fees(result: Tree, search_for: Callable[[float], Tree]) -> None:
    """Add how many markets work if each round trip costs so much more, twice the fee."""
    if _working(result):
        result["at_priority_fees"] = [
            {"priority_fee_bps": fee_bps, "works": _working(search_for(2 * fee_bps))} for fee_bps in (2.0, 4.0, 8.0)
        ]


def _working(result: Tree) -> int:
    return sum(choice["verdict"] == "works" for choice in result["choices"])


def _recorded_bps(signals: list[Row], split_at_ms: int) -> float | None:
    if recorded := [row["threshold_bps"] for row in signals if row["threshold_bps"] is not None]:
        return float(max(recorded))
    parts = ([row["edge_t0_bps"] for row in signals if (row["t0_ms"] >= split_at_ms) is late] for late in (False, True))
    return max((min(part) for part in parts if part), default=None)


class _Rung:
    """The signals of a market, in a part of the time, whose edge reaches a threshold."""

    def __init__(self, threshold_bps: float, rows: list[Row], marked: list[Row], clusters: Clusters) -> None:
        self.threshold_bps, self.rows = threshold_bps, rows
        self.trip_bps = sum(row["round_trip_bps"] for row in rows)
        self.mean, self.drawn, self.clusters = clusters.ratio(rows, mean_of("round_trip_bps"))
        self.t, self.drawn_t = clusters.t_statistics(rows, mean_of("round_trip_bps"))
        self.net_bps = clusters.estimate(marked, mean_of("net_bps"))
        self.won = fmean(row["net_bps"] > 0 for row in marked) if marked else None


class _Trial:
    """The result of each rung for a market, and the chosen rung."""

    def __init__(self, market: str, recorded_bps: float, first: Part, rest: Part, clusters: Clusters) -> None:
        self.market, self.recorded_bps = market, recorded_bps
        self.rungs, self.judged, self.first_clusters = [], None, 0
        for threshold_bps in (recorded_bps, *(bps for bps in GRID_BPS if bps > recorded_bps)):
            rung = self._rung(threshold_bps, first, clusters)
            self.first_clusters = max(self.first_clusters, rung.clusters if rung else 0)
            if rung and rung.clusters >= MIN_CLUSTERS_TO_CHOOSE:
                self.rungs.append(rung)
        self.chosen = max(self.rungs, key=lambda rung: (rung.trip_bps, -rung.threshold_bps), default=None)
        if self.chosen:
            self.judged = self._rung(self.chosen.threshold_bps, rest, clusters)

    def _rung(self, threshold_bps: float, part: Part, clusters: Clusters) -> _Rung | None:
        rows, marked = (
            [row for row in rows if row["market"] == self.market and row["edge_t0_bps"] >= threshold_bps]
            for rows in part
        )
        return _Rung(threshold_bps, rows, marked, clusters) if rows else None


def _chance(rungs: list[_Rung]) -> list[float]:
    """The greatest t statistic of each replicate."""
    greatest = [-inf] * REPLICATES
    for rung in rungs:
        greatest = [
            max(largest, drawn) if drawn == drawn else largest
            for largest, drawn in zip(greatest, rung.drawn_t, strict=True)
        ]
    return greatest


def _market(trial: _Trial, at_offset: list[Row], orders: list[Row], clusters: Clusters) -> Tree:
    its_orders = [row for row in orders if row["market"] == trial.market]
    rows = [row for row in at_offset if row["market"] == trial.market]
    net_bps = [row["net_bps"] for row in rows if row["net_bps"] is not None]
    return {
        "market": trial.market,
        "matched": len(rows),
        "clusters": clusters.number(rows),
        "edge_bps": fmean(row["edge_t0_bps"] for row in rows),
        "shrank": fmean(map(shrank, rows)),
        "won": fmean(bps > 0 for bps in net_bps) if net_bps else None,
        "net_bps": clusters.estimate(rows, mean_of("net_bps")),
        "had": clusters.estimate(its_orders, mean_of("had")),
        "round_trip_bps": clusters.estimate(its_orders, mean_of("round_trip_bps")),
        "one_sided": one_sided(rows),
        "recorded_bps": trial.recorded_bps,
    }


def _choice(market: Tree, trial: _Trial, first_chance: list[float], rest_chance: list[float]) -> Tree:
    chosen, judged = trial.chosen, trial.judged
    rest = _part(judged, rest_chance) if judged else None
    return {
        **market,
        "threshold_bps": chosen.threshold_bps if chosen else None,
        "in_sample": _part(chosen, first_chance) if chosen else None,
        "out_of_sample": rest,
        **_verdict(market, trial, rest),
    }


def _part(rung: _Rung, chance: list[float]) -> Tree:
    p = None
    if rung.clusters >= MIN_CLUSTERS:
        p = sum(not value < rung.t for value in chance) / REPLICATES
    return {
        "n": len(rung.rows),
        "clusters": rung.clusters,
        "won": rung.won,
        "net_bps": rung.net_bps,
        "round_trip_bps": estimate(rung.mean, rung.drawn, rung.clusters),
        "round_trip_won": fmean(row["round_trip_bps"] > 0 for row in rung.rows),
        "p": p,
    }


def _verdict(market: Tree, trial: _Trial, rest: Tree | None) -> Tree:
    is_standing = market["shrank"] < STRUCTURAL_SHRANK and market["one_sided"] >= STRUCTURAL_SIDE
    if is_standing and market["clusters"] >= MIN_CLUSTERS:
        return {"verdict": "structural", "too_few": None}
    if trial.chosen is None:
        too_few = f"{trial.first_clusters} of {MIN_CLUSTERS_TO_CHOOSE} clusters with a round trip in the first part"
        return {"verdict": "too few", "too_few": too_few}
    if rest is None or rest["p"] is None:
        there = rest["clusters"] if rest else 0
        too_few = f"{there} of {MIN_CLUSTERS} clusters with a round trip in the second part"
        return {"verdict": "too few", "too_few": too_few}
    is_proven, loses = rest["p"] <= CLAIM_P, rest["round_trip_bps"]["high"] < 0
    return {"verdict": "works" if is_proven else "loses" if loses else "unproven", "too_few": None}
