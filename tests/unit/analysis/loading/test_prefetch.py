"""Work ahead of whoever takes its results."""

import threading
from collections.abc import Iterator

import pytest

from hip3_tasks.analysis.loading.prefetch import ahead


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("steps", [1, 3, 100])
def test_results_come_in_order(threads: int, steps: int) -> None:
    assert list(ahead(lambda one: one * 2, range(50), threads=threads, steps=steps)) == list(range(0, 100, 2))


def test_no_more_is_begun_than_may_be_ahead() -> None:
    begun = []

    def given() -> Iterator[int]:
        for one in range(100):
            begun.append(one)
            yield one

    for taken in ahead(lambda one: one, given(), threads=2, steps=3):
        assert len(begun) <= taken + 4


def test_several_are_worked_on_at_once() -> None:
    together = threading.Barrier(2)
    assert len(list(ahead(lambda _: together.wait(timeout=30), range(4), threads=2, steps=4))) == 4


def test_what_goes_wrong_is_raised_where_its_result_would_have_come() -> None:
    made = ahead(lambda one: 1 / one, [2, 1, 0, 4], threads=2, steps=2)
    assert [next(made), next(made)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(made)
