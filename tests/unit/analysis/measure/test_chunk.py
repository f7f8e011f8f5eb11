"""Sums over cells, and quantiles over groups, computed on arrays."""

from collections import defaultdict
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.measure import chunk, quantiles
from hip3_tasks.analysis.measure.chunk import sum_by

ROWS = st.lists(st.tuples(st.integers(-3, 3), st.integers(10**12, 10**12 + 4), st.integers(-100, 100)), max_size=60)


@pytest.mark.parametrize("max_cells", [chunk.MAX_CELLS, 0])
@given(ROWS)
def test_sums_are_those_of_the_rows_of_a_cell(max_cells: int, rows: list[tuple[int, int, int]]) -> None:
    """Memory for all cells, or only for the cells with a row."""
    first, second, values = (
        np.array(column, dtype=np.int64) for column in (zip(*rows, strict=True) if rows else ([], [], []))
    )
    cells = defaultdict(list)
    for key, other_key, value in rows:
        cells[key, other_key].append(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "MAX_CELLS", max_cells)
        sums = sum_by({"first": first, "second": second}, {"value": values, "is_more": values > 0})
    assert sums.columns == ["first", "second", "n", "value", "is_more"]
    assert {(row[0], row[1]): row[2:] for row in sums.iter_rows()} == {
        cell: (len(inside), sum(inside), sum(value > 0 for value in inside)) for cell, inside in cells.items()
    }
    assert sums.height == len(cells)


def test_cells_far_apart_take_no_memory_in_between() -> None:
    sums = sum_by({"lateness_ms": np.array([-5, 10**14, 10**14])}, {})
    assert sums.rows() == [(-5, 1.0), (10**14, 2.0)]


VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.integers(-3, 3).map(float)), max_size=80)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_quantiles_are_those_of_numpy_in_each_group_and_in_all(groups: list[list[float]]) -> None:
    shares = 0.0, 0.1, 0.25, 0.5, 0.9, 1.0
    samples = {(number, 1000): [np.array(group[:3]), np.array(group[3:])] for number, group in enumerate(groups)}
    result = quantiles.quantiles(samples, shares)
    for number, group in [*enumerate(groups), (quantiles.ALL, list(chain(*groups)))]:
        known = [value for value in group if value == value]
        if known:
            assert result[number, 1000] == pytest.approx(np.quantile(known, shares).tolist(), rel=1e-9, abs=1e-9)
        else:
            assert result[number, 1000] == [None] * len(shares)


def test_quantiles_of_large_groups_that_do_not_overlap() -> None:
    groups = [np.random.default_rng(seed).normal(seed * 100, 1, 20_000 + seed) for seed in range(5)]
    result = quantiles.quantiles({(number, 1000): [group] for number, group in enumerate(groups)}, (0.5, 0.999))
    assert result[quantiles.ALL, 1000] == pytest.approx(np.quantile(np.concatenate(groups), (0.5, 0.999)).tolist())
