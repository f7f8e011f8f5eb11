"""Sums over cells, and quantiles over groups, as arrays have them."""

from collections import defaultdict
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.measure import chunk as pieces
from hip3_tasks.analysis.measure import quantiles
from hip3_tasks.analysis.measure.chunk import summed

ROWS = st.lists(st.tuples(st.integers(-3, 3), st.integers(10**12, 10**12 + 4), st.integers(-100, 100)), max_size=60)


@pytest.mark.parametrize("most_cells", [pieces.MOST_CELLS, 0])
@given(ROWS)
def test_sums_are_those_of_the_rows_of_a_cell(most_cells: int, rows: list[tuple[int, int, int]]) -> None:
    """Whether room is made for all cells or for those that hold anything."""
    one, other, values = (
        np.array(column, dtype=np.int64) for column in (zip(*rows, strict=True) if rows else ([], [], []))
    )
    expected = defaultdict(list)
    for at, to, value in rows:
        expected[at, to].append(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "MOST_CELLS", most_cells)
        found = summed({"one": one, "other": other}, {"value": values, "is_more": values > 0})
    assert found.columns == ["one", "other", "n", "value", "is_more"]
    assert {(row[0], row[1]): row[2:] for row in found.iter_rows()} == {
        cell: (len(of_cell), sum(of_cell), sum(value > 0 for value in of_cell)) for cell, of_cell in expected.items()
    }
    assert found.height == len(expected)


def test_cells_far_apart_take_no_room_in_between() -> None:
    found = summed({"lateness_ms": np.array([-5, 10**14, 10**14])}, {})
    assert found.rows() == [(-5, 1.0), (10**14, 2.0)]


VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.integers(-3, 3).map(float)), max_size=80)


@pytest.mark.parametrize("few", [quantiles.FEW, 1])
@given(st.lists(VALUES, min_size=1, max_size=6))
def test_quantiles_are_those_of_numpy_in_each_group_and_in_all(few: int, groups: list[list[float]]) -> None:
    shares = 0.0, 0.1, 0.25, 0.5, 0.9, 1.0
    spread = {(number, 1000): [np.array(group[:3]), np.array(group[3:])] for number, group in enumerate(groups)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantiles, "FEW", few)
        found = quantiles.quantiles(spread, shares)
    for number, group in [*enumerate(groups), (quantiles.ALL, list(chain(*groups)))]:
        known = [value for value in group if value == value]
        if known:
            assert found[number, 1000] == pytest.approx(np.quantile(known, shares).tolist(), rel=1e-9, abs=1e-9)
        else:
            assert found[number, 1000] == [None] * len(shares)


def test_quantiles_of_large_groups_that_do_not_overlap() -> None:
    groups = [np.random.default_rng(at).normal(at * 100, 1, 20_000 + at) for at in range(5)]
    found = quantiles.quantiles({(at, 1000): [group] for at, group in enumerate(groups)}, (0.5, 0.999))
    assert found[quantiles.ALL, 1000] == pytest.approx(np.quantile(np.concatenate(groups), (0.5, 0.999)).tolist())
