"""Bands that respect clusters."""

from math import nan, sqrt
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from hip3_tasks.analysis.measure.cluster_sums import cluster_ms
from hip3_tasks.analysis.measure.resampler import Resampler
from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.stats.bootstrap import (
    MIN_CLUSTERS,
    REPLICATES,
    Estimate,
    _t_quantile,
    estimate,
    has_band,
    weights,
    widened_level,
)
from hip3_tasks.stats.cluster_totals import SumSpec
from tests.reference import draws


def sums(values: dict[str, list[float]], *, key: int = 1000) -> pl.DataFrame:
    """One row for each cluster of each dex, with its value."""
    rows = [
        {"dex": dex, "cluster": 7 * index, "key": key, "n": 1.0, "value": value}
        for dex, dex_values in values.items()
        for index, value in enumerate(dex_values)
    ]
    return pl.DataFrame(rows)


def mean(values: dict[str, list[float]]) -> Estimate:
    frame = sums(values)
    return Resampler(frame).totals(frame, SumSpec(("n", "value")), by="key", keys=[1000])[1000].ratio("value", "n")


def width(band: Estimate) -> float:
    assert band.low is not None and band.high is not None
    return band.high - band.low


def normal(count: int, seed: int) -> list[float]:
    """Values with a mean of 3 and a standard deviation of exactly 1."""
    drawn = np.random.default_rng(seed).normal(size=count)
    return list(3 + (drawn - drawn.mean()) / drawn.std())


# The weights.


def test_weights_are_always_the_same() -> None:
    assert np.array_equal(weights("xyz", 40), weights("xyz", 40))
    assert weights("xyz", 3)[:2].tolist() == weights("xyz", 3).tolist()[:2]


@pytest.mark.parametrize("dexes", [("xyz", "para"), ("a", "b"), ("xyz", "")])
def test_weights_of_two_dexes_have_nothing_in_common(dexes: tuple[str, str]) -> None:
    first, second = (weights(dex, 100) for dex in dexes)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02


def test_weights_have_the_mean_and_variance_of_a_poisson_distribution() -> None:
    drawn = weights("xyz", 500)
    assert drawn.shape == (REPLICATES, 500)
    assert drawn.mean() == pytest.approx(1, abs=0.01)
    assert drawn.var() == pytest.approx(1, abs=0.01)
    assert np.mean(drawn == 0) == pytest.approx(np.exp(-1), abs=0.005)


# Bands.


def test_below_twenty_clusters_there_is_no_band() -> None:
    assert not has_band(MIN_CLUSTERS - 1) and has_band(MIN_CLUSTERS) and MIN_CLUSTERS == 20
    assert mean({"xyz": [3.0] * 19}) == Estimate(value=3.0)
    assert width(mean({"xyz": normal(20, 1)})) > 0
    assert width(mean({"xyz": normal(10, 1), "para": normal(10, 2)})) > 0


@pytest.mark.parametrize("clusters", [25, 100, 400, 1600])
def test_a_band_of_independent_values_is_as_wide_as_in_theory(clusters: int) -> None:
    band = mean({"xyz": normal(clusters, clusters)})
    theory = 2 * -draws.t_quantile(0.05, clusters - 1) / sqrt(clusters - 1)
    assert band.value == pytest.approx(3)
    assert width(band) == pytest.approx(theory, rel=0.12)


def test_four_times_the_clusters_halve_the_band() -> None:
    widths = [np.mean([width(mean({"xyz": normal(n, seed)})) for seed in range(8)]) for n in (40, 160, 640)]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.1)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.1)


def test_two_dexes_are_drawn_independently() -> None:
    """With the same draws, giving the same values twice would not narrow the band."""
    values = normal(100, 5)
    single, both = mean({"xyz": values}), mean({"xyz": values, "para": values})
    assert width(single) / width(both) == pytest.approx(sqrt(2), rel=0.12)


@pytest.mark.parametrize("clusters", [20, 60])
def test_a_band_holds_the_truth_as_often_as_claimed(clusters: int) -> None:
    chance, held, times = np.random.default_rng(9), 0, 300
    drawn = weights("xyz", clusters)
    for _ in range(times):
        values = chance.normal(size=clusters)
        band = estimate(values.mean(), drawn @ values / drawn.sum(axis=1), clusters=clusters)
        assert band.low is not None and band.high is not None
        held += band.low <= 0 <= band.high
    assert held / times == pytest.approx(0.9, abs=4 * sqrt(0.09 / times))


def test_a_value_unknown_in_half_of_the_replicates_has_no_band() -> None:
    replicates = np.arange(REPLICATES, dtype=float)
    replicates[: REPLICATES // 2 + 1] = nan
    assert estimate(1.0, replicates, clusters=50) == Estimate(value=1.0)
    assert estimate(nan, replicates, clusters=50) == Estimate(value=None)


def test_a_ratio_over_zero_is_unknown() -> None:
    frame = sums({"xyz": [1.0, -1.0] * 15})
    totals = Resampler(frame).totals(frame, SumSpec(("n", "value")), by="key", keys=[1000])[1000]
    assert totals.ratio("n", "value") == Estimate(value=None)


def test_a_band_counts_only_clusters_with_a_divisor() -> None:
    """One of thirty clusters has a markout: there is no band, rather than one of width 0."""
    frame = sums({"xyz": [5.0] + [0.0] * 29}).with_columns(markout_n=pl.Series([1.0] + [0.0] * 29))
    totals = Resampler(frame).totals(frame, SumSpec(("n", "value", "markout_n")), by="key", keys=[1000])[1000]
    assert totals.clusters == 30
    assert totals.ratio("value", "markout_n") == Estimate(value=5.0)
    assert totals.ratio("value", "n").low is not None


def test_a_key_without_rows_has_no_totals() -> None:
    frame = sums({"xyz": [1.0, 2.0]})
    totals = Resampler(frame).totals(frame, SumSpec(("n",)), by="key", keys=[1000, 3000])
    assert list(totals) == [1000]
    assert (totals[1000]["n"], totals[1000].clusters) == (2.0, 2)


# Widening.


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(19, -1.7291), (24, -1.7109), (29, -1.6991), (60, -1.6706), (120, -1.6577), (10**6, -1.6449)],
)
def test_the_quantile_of_t_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert _t_quantile(0.05, freedom) == pytest.approx(expected, abs=1e-4)
    assert draws.t_quantile(0.05, freedom) == pytest.approx(expected, abs=1e-4)


def test_few_clusters_widen_a_band_and_many_do_not() -> None:
    levels = [widened_level(0.05, clusters) for clusters in (20, 30, 60, 200, 10**6)]
    assert levels == sorted(levels)
    assert levels[0] == pytest.approx(NormalDist().cdf(-1.7291 * sqrt(20 / 19)), abs=1e-5)
    assert levels[-1] == pytest.approx(0.05, abs=1e-5)


# Clusters.


@pytest.mark.parametrize(
    ("minutes", "cluster_minutes"),
    [
        (0, 1),
        (3_000, 1),
        (3_001, 2),
        (6_000, 2),
        (6_001, 5),
        (15_000, 5),
        (15_001, 10),
        (30_001, 15),
        (45_001, 30),
        (10**6, 30),
    ],
)
def test_a_long_span_has_long_clusters_that_end_with_the_half_hour(minutes: int, cluster_minutes: int) -> None:
    assert cluster_ms(0, minutes * MINUTE_MS) == cluster_minutes * MINUTE_MS
    assert 30 % cluster_minutes == 0
