"""Numbers counted by value."""

import math

from hypothesis import given
from hypothesis import strategies as st

from feed.probe.samples import Samples

NUMBERS = st.lists(st.integers(-1000, 1000), min_size=1, max_size=50)


@given(NUMBERS, st.floats(0, 1))
def test_a_quantile_is_a_number_that_the_share_does_not_exceed(numbers: list[int], share: float) -> None:
    samples = Samples(numbers)
    expected = sorted(numbers)[max(0, math.ceil(share * len(numbers) - 1e-9) - 1)]
    assert samples.quantile(share) == expected


@given(NUMBERS, NUMBERS)
def test_merged_numbers_are_those_of_both(first: list[int], second: list[int]) -> None:
    together = Samples([*first, *second])
    assert Samples.merged([Samples(first), Samples(second)]).summary() == together.summary()
    assert together.summary()["min"] == min(*first, *second) and together.summary()["max"] == max(*first, *second)


def test_no_number_has_no_quantile() -> None:
    assert Samples().summary() == {"count": 0, "min": None, "p50": None, "p99": None, "max": None}
