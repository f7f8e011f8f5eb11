"""Results are computed ahead of their consumer, up to a bound."""

import threading
from collections.abc import Iterator

import pytest

from hip3_tasks.analysis.loading.jsonl import map_ahead


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("steps", [1, 3, 100])
def test_results_come_in_order(threads: int, steps: int) -> None:
    assert list(map_ahead(lambda item: item * 2, range(50), threads=threads, steps=steps)) == list(range(0, 100, 2))


def test_no_more_work_begins_than_may_be_ahead() -> None:
    begun = []

    def items() -> Iterator[int]:
        for item in range(100):
            begun.append(item)
            yield item

    for taken in map_ahead(lambda item: item, items(), threads=2, steps=3):
        assert len(begun) <= taken + 4


def test_several_items_are_worked_on_at_once() -> None:
    together = threading.Barrier(2)
    assert len(list(map_ahead(lambda _: together.wait(timeout=30), range(4), threads=2, steps=4))) == 4


def test_an_error_is_raised_in_the_place_of_its_result() -> None:
    results = map_ahead(lambda item: 1 / item, [2, 1, 0, 4], threads=2, steps=2)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
