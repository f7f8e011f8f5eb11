"""Sums of many keys cost by their rows, and come out the same however they are divided."""

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hip3_tasks.analysis.measure import resampler as resampling
from hip3_tasks.analysis.measure.resampler import Resampler
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS
from hip3_tasks.stats.cluster_totals import SumSpec

SPEC = SumSpec(("n", "value"), products=(("value", "value"),), plain=("won",))
ROWS = st.lists(
    st.tuples(st.sampled_from(["xyz", "io"]), st.integers(0, 60), st.integers(0, 5), st.integers(-9, 9)), min_size=1
)


def frame(rows: list[tuple[str, int, int, int]]) -> pl.DataFrame:
    sums = pl.DataFrame(rows, schema=["dex", "cluster", "key", "value"], orient="row")
    return sums.with_columns(
        pl.col("value").cast(pl.Float64), n=pl.lit(1.0), won=(pl.col("value") > 0).cast(pl.Float64)
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_keys_summed_in_parts_have_the_same_totals(rows: list[tuple[str, int, int, int]]) -> None:
    sums, keys = frame(rows * 20), list(range(6))
    whole = Resampler(sums).totals(sums, SPEC, by="key", keys=keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "MAX_CELLS", 1)
        parts = Resampler(sums).totals(sums, SPEC, by="key", keys=keys)
    assert whole.keys() == parts.keys() == {key for _, _, key, _ in rows}
    for key, totals in whole.items():
        assert np.array_equal(totals.observed, parts[key].observed)
        assert np.array_equal(totals.nonzero, parts[key].nonzero)
        np.testing.assert_allclose(totals.bootstrapped, parts[key].bootstrapped, rtol=1e-12)
        assert totals["value"] == 20 * sum(value for _, _, row_key, value in rows if row_key == key)


@pytest.mark.parametrize("cumulative", [False, True])
def test_keys_too_small_for_a_band_draw_nothing(cumulative: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three thousand markets with two signals each take no more than their rows."""
    monkeypatch.setattr(resampling, "weights", lambda *_: pytest.fail("replicates of a sum without a band"))
    keys = list(range(3000)) if not cumulative else [0, 1]
    sums = frame([("xyz", 100 + key, key, 1) for key in keys for _ in range(2)])
    totals = Resampler(sums).totals(sums, SPEC, by="key", keys=keys, cumulative=cumulative)
    assert totals[1]["n"] == 2.0
    assert totals[1].ratio("value", "n").model_dump() == {"value": 1.0, "low": None, "high": None}


def test_a_key_of_enough_clusters_beside_small_ones_has_its_band() -> None:
    large = [("xyz", cluster, 1, cluster % 3) for cluster in range(MIN_CLUSTERS)]
    alone, beside = frame(large), frame([("xyz", 0, 0, 5), *large, ("xyz", 7, 2, 5)])
    expected = Resampler(alone).totals(alone, SPEC, by="key", keys=[1])[1].ratio("value", "n")
    assert expected.low is not None
    assert Resampler(beside).totals(beside, SPEC, by="key", keys=[0, 1, 2])[1].ratio("value", "n") == expected
