"""The search for thresholds makes no claim that chance would make."""

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
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.levels import GRID_BPS
from hip3_tasks.analysis.measure.threshold_search import (
    MIN_CLUSTERS_TO_CHOOSE,
    MarketChoice,
    ThresholdSearch,
    ThresholdVerdict,
)
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS

FIRST_MS = 1_795_392_000_000
"""The start of a minute."""
MINUTE_MS = 60_000
OFFSET_MS = 5000
ENTRY_MS = 1000
COST_BPS, SLIPPAGE_BPS = 2.0, 1.0


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A market with one signal a minute from minute `begins`. A scalar value holds for all minutes; NaN: no markout.

    Each order is had at the touch of T0, and its round trip brings as much as the markout, net of cost.
    """

    begins: int = 0
    minutes: int = 100
    edge_bps: Any = 10.0
    markout_bps: Any = 0.0
    shrinks: bool = True
    side: str = "both"
    threshold_bps: Any = 6.9
    cost_bps: Any = COST_BPS
    at_ms: Any = 0
    """The time of each signal after the start of its minute."""


def noise(seed: int, *, mean: float = 0.0, spread: float = 5.0, minutes: int = 100) -> Any:
    return np.random.default_rng(seed).normal(mean, spread, minutes)


def rows(coin: str, planted: Planted) -> pl.DataFrame:
    number = planted.minutes
    sides = ["buy", "sell"] * (number // 2 + 1) if planted.side == "both" else [planted.side] * number
    edges_bps = np.broadcast_to(planted.edge_bps, number).astype(float)
    at_ms = FIRST_MS + (planted.begins + np.arange(number)) * MINUTE_MS + planted.at_ms
    markouts_bps = np.broadcast_to(planted.markout_bps, number).astype(float)
    fees_bps = np.maximum(np.broadcast_to(planted.cost_bps, number) - SLIPPAGE_BPS, 0)
    at_exit = pl.DataFrame(
        {
            "market_key": [coin] * number,
            "side": sides[:number],
            "signal_timestamp_ms": at_ms,
            "timestamp_ms": at_ms,
            "offset_ms": pl.Series([OFFSET_MS] * number, dtype=pl.Int32),
            "lateness_ms": 0,
            "t0_raw_edge_bps": edges_bps,
            "raw_edge_bps": edges_bps * (0.2 if planted.shrinks else 1.0),
            "market_part_bps": 1.0,
            "oracle_part_bps": 0.0,
            "markout_bps": pl.Series(markouts_bps, nan_to_null=True),
            "exit_move_bps": pl.Series(markouts_bps + fees_bps, nan_to_null=True),
            "cost_bps": np.broadcast_to(planted.cost_bps, number).astype(float),
            "threshold_bps": pl.Series(
                [planted.threshold_bps] * number if np.ndim(planted.threshold_bps) == 0 else planted.threshold_bps,
                dtype=pl.Float64,
            ),
            "expected": 2,
            "taker_fee_bps": None,
            **dict.fromkeys(("oracle_age_ms", "lag_ms", "spread_bps", "trigger")),
            "touch_usd": 1000.0,
            "best_px": 100.0,
            "exit_usd": 1000.0,
        }
    )
    at_entry = at_exit.with_columns(offset_ms=pl.lit(ENTRY_MS, pl.Int32), market_part_bps=0.0)
    return pl.concat([at_entry, at_exit])


def search(**markets: Planted) -> ThresholdSearch:
    """Search over markets of dex `xyz`, or `DEX__NAME`."""
    coins = {name.replace("__", ":") if "__" in name else f"xyz:{name}": planted for name, planted in markets.items()}
    frame = pl.concat([rows(coin, planted) for coin, planted in coins.items()])
    signals, followups, missed = (kind.empty(all_fields=False).drop(KEY) for kind in (SIGNALS, FOLLOWUPS, MISSED))
    edge_at_t0 = frame.filter(offset_ms=OFFSET_MS).with_columns(raw_edge_bps="t0_raw_edge_bps")
    data = Data(
        signals=edge_at_t0.select(signals.columns).cast(dict(signals.schema)),
        chunks=[LazyChunk(frame.select(followups.columns).cast(dict(followups.schema)).lazy())],
        missed=missed,
        notes=DataQuality(dirs=[]),
    )
    thresholds = build_report(data, by=By.SIDE, cost_bps=None, at_ms=0).search
    assert thresholds is not None
    return thresholds


def choice(**market: Any) -> MarketChoice:
    (market_choice,) = search(A=Planted(**market)).choices
    return market_choice


# Verdicts.


def test_a_market_that_pays_works() -> None:
    result = choice(markout_bps=noise(1, mean=8.0))
    assert result.verdict is ThresholdVerdict.WORKS
    assert result.out_of_sample is not None and result.out_of_sample.p is not None
    assert result.out_of_sample.p <= 0.05
    assert (result.matched, result.recorded_bps, result.one_sided, result.shrank) == (100, 6.9, 0.5, 1.0)


def test_a_market_that_costs_more_than_it_pays_loses() -> None:
    result = choice(markout_bps=noise(2, mean=-4.0))
    assert result.verdict is ThresholdVerdict.LOSES


def test_a_result_that_chance_reaches_is_unproven() -> None:
    result = choice(markout_bps=noise(3, mean=COST_BPS, spread=20.0))
    assert result.verdict is ThresholdVerdict.UNPROVEN


def test_a_market_that_paid_only_in_sample_is_not_recommended() -> None:
    """Validation out of sample finds it."""
    faded = np.concatenate([noise(4, mean=12.0, minutes=60), noise(5, mean=-6.0, minutes=40)])
    result = choice(markout_bps=faded)
    assert result.in_sample is not None and result.in_sample.p == 0
    assert result.net_bps.low is not None and result.net_bps.low > 0
    assert result.verdict is ThresholdVerdict.LOSES


@pytest.mark.parametrize(
    ("minutes", "is_chosen", "verdict"),
    [
        (MIN_CLUSTERS_TO_CHOOSE - 1, False, ThresholdVerdict.TOO_FEW),
        (MIN_CLUSTERS_TO_CHOOSE, True, ThresholdVerdict.TOO_FEW),
        (60 + MIN_CLUSTERS - 1, True, ThresholdVerdict.TOO_FEW),
        (60 + MIN_CLUSTERS, True, ThresholdVerdict.WORKS),
    ],
)
def test_too_few_clusters_for_a_choice_or_for_a_claim(minutes: int, is_chosen: bool, verdict: ThresholdVerdict) -> None:
    """The first part has 60 of the 100 minutes."""
    few = Planted(minutes=minutes, markout_bps=50.0 + noise(6, minutes=minutes))
    result = search(A=Planted(minutes=101), FEW=few).choices[1]
    assert (result.threshold_bps is not None, result.verdict) == (is_chosen, verdict)
    judged = result.out_of_sample is not None and result.out_of_sample.p is not None
    assert judged == (verdict is ThresholdVerdict.WORKS)


def test_a_market_without_signals_out_of_sample_is_not_validated() -> None:
    result = search(A=Planted(), GONE=Planted(minutes=40, markout_bps=9.0))
    gone = result.choices[1]
    assert (gone.market, gone.out_of_sample, gone.verdict) == ("xyz:GONE", None, ThresholdVerdict.TOO_FEW)
    assert gone.in_sample is not None and gone.in_sample.n == 40
    assert result.judged == 1


@pytest.mark.parametrize("markout_bps", [20.0, -20.0])
def test_a_standing_offset_is_structural_even_if_it_pays(markout_bps: float) -> None:
    result = choice(shrinks=False, side="buy", markout_bps=noise(7, mean=markout_bps))
    assert (result.verdict, result.shrank, result.one_sided) == (ThresholdVerdict.STRUCTURAL, 0.0, 1.0)


def test_an_edge_that_stays_on_both_sides_is_not_structural() -> None:
    assert choice(shrinks=False, markout_bps=noise(8, mean=8.0)).verdict is ThresholdVerdict.WORKS


@pytest.mark.parametrize(
    ("markout_bps", "verdict"),
    [(COST_BPS, ThresholdVerdict.UNPROVEN), (0.0, ThresholdVerdict.LOSES), (7.0, ThresholdVerdict.WORKS)],
)
def test_a_constant_net_has_the_verdict_of_its_sign(markout_bps: float, verdict: ThresholdVerdict) -> None:
    """A net of 0 in every replicate proves nothing."""
    result = search(DEAD=Planted(markout_bps=markout_bps), B=Planted(markout_bps=noise(9, mean=8.0)))
    assert [market.verdict for market in result.choices] == [ThresholdVerdict.WORKS, verdict]


def test_a_market_without_markouts_is_listed_without_a_threshold() -> None:
    result = search(A=Planted(), NONE=Planted(markout_bps=nan))
    none = result.choices[1]
    assert (none.market, none.matched, none.won, none.verdict) == ("xyz:NONE", 100, None, ThresholdVerdict.TOO_FEW)
    assert (none.threshold_bps, none.in_sample, none.out_of_sample) == (None, None, None)


# Thresholds.


def uneven(minutes: int = 200) -> Any:
    """Edges on every level, in random order."""
    return np.random.default_rng(10).permutation(np.resize([7.0, 9.0, 13.0, 18.0, 22.0, 28.0, 35.0, 45.0], minutes))


@pytest.mark.parametrize(("pays_from_bps", "threshold_bps"), [(20.0, 20.0), (16.0, 14.0), (7.0, 6.9)])
def test_the_level_above_which_a_market_pays_is_chosen(pays_from_bps: float, threshold_bps: float) -> None:
    edges_bps = uneven()
    markouts_bps = np.where(edges_bps >= pays_from_bps, 14.0, -10.0) + noise(11, minutes=200)
    result = choice(minutes=200, edge_bps=edges_bps, markout_bps=markouts_bps)
    assert (result.threshold_bps, result.verdict) == (threshold_bps, ThresholdVerdict.WORKS)
    assert result.in_sample is not None and result.out_of_sample is not None
    assert result.in_sample.n + result.out_of_sample.n == int((edges_bps >= pays_from_bps).sum())


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
def test_levels_that_exclude_no_signal_are_not_tried(recorded_bps: float, edge_bps: float, tried: int) -> None:
    result = search(A=Planted(threshold_bps=recorded_bps, edge_bps=edge_bps, markout_bps=noise(12, mean=8.0)))
    assert result.tried == tried == 1 + sum(recorded_bps < level_bps <= edge_bps for level_bps in GRID_BPS)
    assert result.choices[0].threshold_bps == result.choices[0].recorded_bps == recorded_bps


def test_the_least_edge_replaces_an_unknown_threshold() -> None:
    edges_bps = uneven(100) + 0.5
    assert choice(threshold_bps=None, edge_bps=edges_bps).recorded_bps == 7.5


def since_the_split(before: float, after: float) -> Any:
    """One value for the 60 minutes before the split, another one for the 40 after it."""
    return np.repeat([before, after], [60, 40])


def test_each_signal_pays_the_fee_of_its_time() -> None:
    result = choice(cost_bps=since_the_split(2.0, 10.0), markout_bps=noise(21, mean=6.0, spread=2.0))
    assert result.in_sample is not None and result.in_sample.net_bps.value == pytest.approx(4.0, abs=1.0)
    assert result.out_of_sample is not None and result.out_of_sample.net_bps.value == pytest.approx(-4.0, abs=1.0)
    assert result.verdict is ThresholdVerdict.LOSES


@pytest.mark.parametrize("has_threshold", [True, False])
@pytest.mark.parametrize(("before_bps", "after_bps"), [(20.0, 6.0), (6.0, 20.0)])
def test_an_edge_not_recorded_throughout_is_neither_chosen_nor_validated(
    before_bps: float, after_bps: float, has_threshold: bool
) -> None:
    """A part in which signals were recorded from 20 bps gives no result for a threshold of 6 bps."""
    recorded_bps = since_the_split(before_bps, after_bps)
    edges_bps = np.where(np.arange(100) % 3, 30.0, recorded_bps)
    markouts_bps = np.where(edges_bps >= 20, 12.0, -30.0) + noise(22, spread=2.0)
    result = choice(threshold_bps=recorded_bps if has_threshold else None, edge_bps=edges_bps, markout_bps=markouts_bps)
    assert (result.recorded_bps, result.threshold_bps, result.verdict) == (20.0, 20.0, ThresholdVerdict.WORKS)
    assert result.in_sample is not None and result.out_of_sample is not None
    assert result.in_sample.n == (60 if before_bps == 20 else 40)
    assert result.out_of_sample.n == (40 if after_bps == 20 else 26)


def test_an_edge_equal_to_a_level_reaches_it() -> None:
    edges_bps = np.resize([8.0, 20.0], 200)
    markouts_bps = np.where(edges_bps == 20.0, 14.0, -10.0) + noise(13, minutes=200)
    result = choice(minutes=200, edge_bps=edges_bps, markout_bps=markouts_bps)
    assert result.threshold_bps == 10.0  # the lowest of the levels with the same result
    assert result.in_sample is not None and result.in_sample.n == 60


# The split.


def test_the_parts_meet_at_the_end_of_a_cluster() -> None:
    result = search(A=Planted(minutes=101))
    assert result.offset_ms == OFFSET_MS
    assert result.split_at_ms == FIRST_MS + 60 * MINUTE_MS
    assert search(A=Planted(minutes=102)).split_at_ms == FIRST_MS + 61 * MINUTE_MS


@pytest.mark.parametrize(
    ("before_split_ms", "first", "rest"),
    [(OFFSET_MS + 1, 61, 40), (OFFSET_MS, 60, 40), (1, 60, 40), (0, 60, 41), (-1, 60, 41)],
)
def test_a_follow_up_due_after_the_split_is_in_neither_part(before_split_ms: int, first: int, rest: int) -> None:
    """Its outcome is unknown when the first part ends."""
    extra = Planted(begins=60, minutes=1, at_ms=-before_split_ms)
    minute = np.arange(100)
    frame = Planted(minutes=100, at_ms=np.where(minute == 99, MINUTE_MS, np.where(minute == 60, 500, 0)))
    result = _joined(frame, extra)
    assert result.split_at_ms == FIRST_MS + 60 * MINUTE_MS
    (market,) = result.choices
    assert market.in_sample is not None and market.out_of_sample is not None
    assert (market.in_sample.n, market.out_of_sample.n, market.matched) == (first, rest, 101)


def _joined(*parts: Planted) -> ThresholdSearch:
    """Search over one market that is planted in parts."""
    frame = pl.concat([rows("xyz:A", part) for part in parts]).filter(offset_ms=OFFSET_MS)
    at_ms = (frame["signal_timestamp_ms"] - FIRST_MS).to_numpy()
    return search(A=Planted(minutes=frame.height, at_ms=at_ms - np.arange(frame.height) * MINUTE_MS))


# Chance.


@pytest.mark.slow
def test_pure_noise_pays_in_sample_and_is_seldom_recommended() -> None:
    """Nine of 60 searches of noise may make a claim: more than 9 at 5 % each has p < 0.001."""
    claimed, good_in_sample, chosen = 0, 0, 0
    for seed in range(60):
        chance = np.random.default_rng([seed, 1])
        shared = chance.normal(0, 3, 120)
        result = search(
            **{
                f"M{number}": Planted(
                    minutes=120,
                    edge_bps=uneven(120),
                    markout_bps=COST_BPS + shared + chance.standard_t(5, 120) * 8,
                )
                for number in range(3)
            }
        )
        claimed += any(market.verdict is ThresholdVerdict.WORKS for market in result.choices)
        in_sample = [market.in_sample.net_bps.value or 0 for market in result.choices if market.in_sample]
        good_in_sample += sum(value > 0 for value in in_sample)
        chosen += len(in_sample)
    assert claimed <= 9
    assert good_in_sample / chosen > 0.6


def test_more_validated_markets_need_stronger_evidence() -> None:
    markouts_bps = COST_BPS + noise(14, mean=1.6, spread=5.0)
    single = search(A=Planted(markout_bps=markouts_bps))
    among = search(
        A=Planted(markout_bps=markouts_bps),
        **{f"io__M{number}": Planted(markout_bps=COST_BPS + noise(100 + number)) for number in range(20)},
    )
    (choice_a,) = [choice for choice in among.choices if choice.market == "xyz:A"]
    parts = single.choices[0].out_of_sample, choice_a.out_of_sample
    assert parts[0] is not None and parts[1] is not None
    assert parts[0].p is not None and parts[1].p is not None
    assert parts[0].p < parts[1].p
    assert (single.judged, among.judged) == (1, 21)


# Recommendations.


def test_the_feed_reads_the_recommended_thresholds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edges_bps = uneven()
    pays = np.where(edges_bps >= 20.0, 14.0, -10.0) + noise(15, minutes=200)
    result = search(
        WORKS=Planted(minutes=200, edge_bps=edges_bps, markout_bps=pays),
        ALL=Planted(minutes=200, markout_bps=noise(16, mean=9.0, minutes=200), threshold_bps=0.0),
        LOSES=Planted(minutes=200, markout_bps=noise(17, mean=-4.0, minutes=200)),
        OFFSET=Planted(minutes=200, markout_bps=noise(18, mean=9.0, minutes=200), shrinks=False, side="sell"),
    )
    assert result.recommended_bps() == {"xyz:ALL": 0.0, "xyz:WORKS": 20.0}
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps(result.recommended_bps()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIP3_THRESHOLDS", str(path))
    assert settings.load().rules.thresholds_bps == {"xyz:ALL": 0.0, "xyz:WORKS": 20.0}
