"""A search for thresholds that does not fool its user."""

import json
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hip3_tasks import settings
from hip3_tasks.analysis.loading.load import Data, LazyChunk
from hip3_tasks.analysis.loading.quality import DataQuality
from hip3_tasks.analysis.loading.schemas import FOLLOWUPS, KEY, MISSED, SIGNALS
from hip3_tasks.analysis.measure.grouping import By
from hip3_tasks.analysis.measure.threshold_search import FEWEST_TO_CHOOSE, LADDER_BPS, Choice, Search, Verdict
from hip3_tasks.analysis.report.build import build_report
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS

FIRST_MS = 1_795_392_000_000
"""The beginning of a minute."""
MINUTE_MS = 60_000
OFFSET_MS = 5000
COST_BPS = 2.0


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A market with a signal a minute from `begins` on; arrays, or one value for all its minutes; NaN: no markout."""

    begins: int = 0
    minutes: int = 100
    edge_bps: Any = 10.0
    markout_bps: Any = 0.0
    shrinks: bool = True
    side: str = "both"
    threshold_bps: Any = 6.9
    cost_bps: Any = COST_BPS
    at_ms: Any = 0
    """After the minute began, each."""


def noise(seed: int, *, mean: float = 0.0, spread: float = 5.0, minutes: int = 100) -> Any:
    return np.random.default_rng(seed).normal(mean, spread, minutes)


def rows(coin: str, planted: Planted) -> pl.DataFrame:
    number = planted.minutes
    sides = ["buy", "sell"] * (number // 2 + 1) if planted.side == "both" else [planted.side] * number
    edges_bps = np.broadcast_to(planted.edge_bps, number).astype(float)
    at_ms = FIRST_MS + (planted.begins + np.arange(number)) * MINUTE_MS + planted.at_ms
    return pl.DataFrame(
        {
            "market_key": [coin] * number,
            "side": sides[:number],
            "signal_timestamp_ms": at_ms,
            "timestamp_ms": at_ms,
            "offset_ms": OFFSET_MS,
            "lateness_ms": 0,
            "t0_raw_edge_bps": edges_bps,
            "raw_edge_bps": edges_bps * (0.2 if planted.shrinks else 1.0),
            "market_part_bps": 1.0,
            "oracle_part_bps": 0.0,
            "markout_bps": pl.Series(np.broadcast_to(planted.markout_bps, number).astype(float), nan_to_null=True),
            "cost_bps": np.broadcast_to(planted.cost_bps, number).astype(float),
            "threshold_bps": pl.Series(
                [planted.threshold_bps] * number if np.ndim(planted.threshold_bps) == 0 else planted.threshold_bps,
                dtype=pl.Float64,
            ),
            "due": 1,
        }
    )


def search(**markets: Planted) -> Search:
    """Of markets of dex `xyz`, or `DEX__NAME`."""
    coins = {name.replace("__", ":") if "__" in name else f"xyz:{name}": planted for name, planted in markets.items()}
    frame = pl.concat([rows(coin, planted) for coin, planted in coins.items()])
    signals, followups, missed = (kind.empty(all_fields=False).drop(KEY) for kind in (SIGNALS, FOLLOWUPS, MISSED))
    edge_at_t0 = frame.with_columns(raw_edge_bps="t0_raw_edge_bps")
    data = Data(
        signals=edge_at_t0.select(signals.columns).cast(dict(signals.schema)),
        chunks=[LazyChunk(frame.select(followups.columns).cast(dict(followups.schema)).lazy())],
        missed=missed,
        notes=DataQuality(dirs=[]),
    )
    found = build_report(data, by=By.SIDE, cost_bps=None, at_ms=0).search
    assert found is not None
    return found


def choice(**market: Any) -> Choice:
    (found,) = search(A=Planted(**market)).choices
    return found


# Verdicts.


def test_a_market_that_pays_works() -> None:
    found = choice(markout_bps=noise(1, mean=8.0))
    assert found.verdict is Verdict.WORKS
    assert found.out_of_sample is not None and found.out_of_sample.p is not None
    assert found.out_of_sample.p <= 0.05
    assert (found.matched, found.recorded_bps, found.one_sided, found.shrank) == (100, 6.9, 0.5, 1.0)


def test_a_market_that_costs_more_than_it_pays_loses() -> None:
    found = choice(markout_bps=noise(2, mean=-4.0))
    assert found.verdict is Verdict.LOSES


def test_what_chance_might_do_as_well_is_unproven() -> None:
    found = choice(markout_bps=noise(3, mean=COST_BPS, spread=20.0))
    assert found.verdict is Verdict.UNPROVEN


def test_what_worked_before_and_no_longer_does_is_not_recommended() -> None:
    """That is what judging on the rest is for."""
    faded = np.concatenate([noise(4, mean=12.0, minutes=60), noise(5, mean=-6.0, minutes=40)])
    found = choice(markout_bps=faded)
    assert found.in_sample is not None and found.in_sample.p == 0
    assert found.net_bps.low is not None and found.net_bps.low > 0
    assert found.verdict is Verdict.LOSES


@pytest.mark.parametrize(
    ("minutes", "is_chosen", "verdict"),
    [
        (FEWEST_TO_CHOOSE - 1, False, Verdict.TOO_FEW),
        (FEWEST_TO_CHOOSE, True, Verdict.TOO_FEW),
        (60 + MIN_CLUSTERS - 1, True, Verdict.TOO_FEW),
        (60 + MIN_CLUSTERS, True, Verdict.WORKS),
    ],
)
def test_too_few_clusters_for_a_choice_or_for_a_claim(minutes: int, is_chosen: bool, verdict: Verdict) -> None:
    """The first part of the hundred minutes has sixty."""
    few = Planted(minutes=minutes, markout_bps=50.0 + noise(6, minutes=minutes))
    found = search(A=Planted(minutes=101), FEW=few).choices[1]
    assert (found.threshold_bps is not None, found.verdict) == (is_chosen, verdict)
    judged = found.out_of_sample is not None and found.out_of_sample.p is not None
    assert judged == (verdict is Verdict.WORKS)


def test_a_market_that_went_silent_before_the_rest_is_not_judged() -> None:
    found = search(A=Planted(), GONE=Planted(minutes=40, markout_bps=9.0))
    gone = found.choices[1]
    assert (gone.market, gone.out_of_sample, gone.verdict) == ("xyz:GONE", None, Verdict.TOO_FEW)
    assert gone.in_sample is not None and gone.in_sample.n == 40
    assert found.judged == 1


@pytest.mark.parametrize("markout_bps", [20.0, -20.0])
def test_a_standing_offset_is_no_signal_whatever_it_pays(markout_bps: float) -> None:
    found = choice(shrinks=False, side="buy", markout_bps=noise(7, mean=markout_bps))
    assert (found.verdict, found.shrank, found.one_sided) == (Verdict.STRUCTURAL, 0.0, 1.0)


def test_an_edge_that_stays_on_both_sides_is_no_standing_offset() -> None:
    assert choice(shrinks=False, markout_bps=noise(8, mean=8.0)).verdict is Verdict.WORKS


@pytest.mark.parametrize(
    ("markout_bps", "verdict"), [(COST_BPS, Verdict.UNPROVEN), (0.0, Verdict.LOSES), (7.0, Verdict.WORKS)]
)
def test_what_never_varies_is_what_it_is(markout_bps: float, verdict: Verdict) -> None:
    """A dead market at no cost gives 0 in every replicate: that is no proof of anything."""
    found = search(DEAD=Planted(markout_bps=markout_bps), B=Planted(markout_bps=noise(9, mean=8.0)))
    assert [one.verdict for one in found.choices] == [Verdict.WORKS, verdict]


def test_a_market_without_markouts_is_listed_and_no_more() -> None:
    found = search(A=Planted(), NONE=Planted(markout_bps=nan))
    none = found.choices[1]
    assert (none.market, none.matched, none.won, none.verdict) == ("xyz:NONE", 100, None, Verdict.TOO_FEW)
    assert (none.threshold_bps, none.in_sample, none.out_of_sample) == (None, None, None)


# Thresholds.


def uneven(minutes: int = 200) -> Any:
    """Edges on every rung, in no order of time."""
    return np.random.default_rng(10).permutation(np.resize([7.0, 9.0, 13.0, 18.0, 22.0, 28.0, 35.0, 45.0], minutes))


@pytest.mark.parametrize(("pays_from_bps", "threshold_bps"), [(20.0, 20.0), (16.0, 14.0), (7.0, 6.9)])
def test_a_market_that_pays_only_above_a_rung_is_found(pays_from_bps: float, threshold_bps: float) -> None:
    edges_bps = uneven()
    markouts_bps = np.where(edges_bps >= pays_from_bps, 14.0, -10.0) + noise(11, minutes=200)
    found = choice(minutes=200, edge_bps=edges_bps, markout_bps=markouts_bps)
    assert (found.threshold_bps, found.verdict) == (threshold_bps, Verdict.WORKS)
    assert found.in_sample is not None and found.out_of_sample is not None
    assert found.in_sample.n + found.out_of_sample.n == int((edges_bps >= pays_from_bps).sum())


@pytest.mark.parametrize(
    ("recorded_bps", "edge_bps", "tried"),
    [
        (20.0, 22.0, 1),
        (6.5, 22.0, 8),
        (6.0, 22.0, 8),
        (5.9, 22.0, 9),
        (100.0, 120.0, 1),
        (75.0, 120.0, 2),
        (0.0, 5.0, 1),
    ],
)
def test_rungs_that_tell_nothing_apart_are_not_tried(recorded_bps: float, edge_bps: float, tried: int) -> None:
    found = search(A=Planted(threshold_bps=recorded_bps, edge_bps=edge_bps, markout_bps=noise(12, mean=8.0)))
    assert found.tried == tried == 1 + sum(recorded_bps < rung <= edge_bps for rung in LADDER_BPS)
    assert found.choices[0].threshold_bps == found.choices[0].recorded_bps == recorded_bps


def test_without_a_noted_threshold_the_least_edge_stands_for_it() -> None:
    edges_bps = uneven(100) + 0.5
    assert choice(threshold_bps=None, edge_bps=edges_bps).recorded_bps == 7.5


def since_the_split(before: float, after: float) -> Any:
    """Another value in the sixty minutes before the split and in the forty after it."""
    return np.repeat([before, after], [60, 40])


def test_what_paid_before_the_fee_rose_is_judged_by_the_fee_it_paid() -> None:
    found = choice(cost_bps=since_the_split(2.0, 10.0), markout_bps=noise(21, mean=6.0, spread=2.0))
    assert found.in_sample is not None and found.in_sample.net_bps.value == pytest.approx(4.0, abs=1.0)
    assert found.out_of_sample is not None and found.out_of_sample.net_bps.value == pytest.approx(-4.0, abs=1.0)
    assert found.verdict is Verdict.LOSES


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize(("before_bps", "after_bps"), [(20.0, 6.0), (6.0, 20.0)])
def test_what_was_not_recorded_all_the_time_is_neither_chosen_nor_judged(
    before_bps: float, after_bps: float, is_noted: bool
) -> None:
    """Whoever records from 20 in one part of the time knows nothing of a threshold of 6 in it."""
    recorded_bps = since_the_split(before_bps, after_bps)
    edges_bps = np.where(np.arange(100) % 3, 30.0, recorded_bps)
    markouts_bps = np.where(edges_bps >= 20, 12.0, -30.0) + noise(22, spread=2.0)
    found = choice(threshold_bps=recorded_bps if is_noted else None, edge_bps=edges_bps, markout_bps=markouts_bps)
    assert (found.recorded_bps, found.threshold_bps, found.verdict) == (20.0, 20.0, Verdict.WORKS)
    assert found.in_sample is not None and found.out_of_sample is not None
    assert found.in_sample.n == (60 if before_bps == 20 else 40)
    assert found.out_of_sample.n == (40 if after_bps == 20 else 26)


def test_an_edge_at_a_rung_reaches_it() -> None:
    edges_bps = np.resize([8.0, 20.0], 200)
    markouts_bps = np.where(edges_bps == 20.0, 14.0, -10.0) + noise(13, minutes=200)
    found = choice(minutes=200, edge_bps=edges_bps, markout_bps=markouts_bps)
    assert found.threshold_bps == 10.0  # the lowest of those that give the same
    assert found.in_sample is not None and found.in_sample.n == 60


# The split.


def test_the_parts_meet_at_the_end_of_a_cluster() -> None:
    found = search(A=Planted(minutes=101))
    assert found.offset_ms == OFFSET_MS
    assert found.split_at_ms == FIRST_MS + 60 * MINUTE_MS
    assert search(A=Planted(minutes=102)).split_at_ms == FIRST_MS + 61 * MINUTE_MS


@pytest.mark.parametrize(
    ("before_split_ms", "first", "rest"),
    [(OFFSET_MS + 1, 61, 40), (OFFSET_MS, 60, 40), (1, 60, 40), (0, 60, 41), (-1, 60, 41)],
)
def test_what_is_due_after_the_split_is_in_neither_part(before_split_ms: int, first: int, rest: int) -> None:
    """Its outcome was not known when the first part ended."""
    extra = Planted(begins=60, minutes=1, at_ms=-before_split_ms)
    frame = Planted(minutes=100, at_ms=np.where(np.arange(100) == 99, MINUTE_MS, 0))
    found = _joined(frame, extra)
    assert found.split_at_ms == FIRST_MS + 60 * MINUTE_MS
    (one,) = found.choices
    assert one.in_sample is not None and one.out_of_sample is not None
    assert (one.in_sample.n, one.out_of_sample.n, one.matched) == (first, rest, 101)


def _joined(*parts: Planted) -> Search:
    """Of one market."""
    frame = pl.concat([rows("xyz:A", part) for part in parts])
    at_ms = (frame["signal_timestamp_ms"] - FIRST_MS).to_numpy()
    return search(A=Planted(minutes=frame.height, at_ms=at_ms - np.arange(frame.height) * MINUTE_MS))


# Chance.


@pytest.mark.slow
def test_pure_noise_is_seldom_recommended_and_looks_good_in_sample() -> None:
    """Of sixty searches of noise, at most so many claim anything as 5 % of them may by chance (p < 0.001)."""
    claimed, good_in_sample, chosen = 0, 0, 0
    for seed in range(60):
        chance = np.random.default_rng([seed, 1])
        shared = chance.normal(0, 3, 120)
        found = search(
            **{
                f"M{number}": Planted(
                    minutes=120,
                    edge_bps=uneven(120),
                    markout_bps=COST_BPS + shared + chance.standard_t(5, 120) * 8,
                )
                for number in range(3)
            }
        )
        claimed += any(one.verdict is Verdict.WORKS for one in found.choices)
        in_sample = [one.in_sample.net_bps.value or 0 for one in found.choices if one.in_sample]
        good_in_sample += sum(value > 0 for value in in_sample)
        chosen += len(in_sample)
    assert claimed <= 9
    assert good_in_sample / chosen > 0.6


def test_the_more_are_judged_the_more_is_asked_of_each() -> None:
    markouts_bps = COST_BPS + noise(14, mean=1.6, spread=5.0)
    alone = search(A=Planted(markout_bps=markouts_bps))
    among = search(
        A=Planted(markout_bps=markouts_bps),
        **{f"io__M{number}": Planted(markout_bps=COST_BPS + noise(100 + number)) for number in range(20)},
    )
    (of_a,) = [one for one in among.choices if one.market == "xyz:A"]
    parts = alone.choices[0].out_of_sample, of_a.out_of_sample
    assert parts[0] is not None and parts[1] is not None
    assert parts[0].p is not None and parts[1].p is not None
    assert parts[0].p < parts[1].p
    assert (alone.judged, among.judged) == (1, 21)


# What is recommended.


def test_what_is_recommended_is_what_the_feed_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edges_bps = uneven()
    pays = np.where(edges_bps >= 20.0, 14.0, -10.0) + noise(15, minutes=200)
    found = search(
        WORKS=Planted(minutes=200, edge_bps=edges_bps, markout_bps=pays),
        ALL=Planted(minutes=200, markout_bps=noise(16, mean=9.0, minutes=200), threshold_bps=0.0),
        LOSES=Planted(minutes=200, markout_bps=noise(17, mean=-4.0, minutes=200)),
        OFFSET=Planted(minutes=200, markout_bps=noise(18, mean=9.0, minutes=200), shrinks=False, side="sell"),
    )
    assert found.recommended_bps() == {"xyz:ALL": 0.0, "xyz:WORKS": 20.0}
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps(found.recommended_bps()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIP3_THRESHOLDS", str(path))
    assert settings.load().rules.thresholds_bps == {"xyz:ALL": 0.0, "xyz:WORKS": 20.0}
