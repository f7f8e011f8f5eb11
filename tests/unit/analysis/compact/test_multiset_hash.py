"""A fingerprint tells sets of lines apart, and is blind to their order alone."""

from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.compact.multiset_hash import Fingerprint

lines = st.lists(st.binary(max_size=8), max_size=6)


@given(one=lines, other=lines)
def test_it_is_the_same_of_the_same_lines_in_whatever_order_and_of_no_others(
    one: list[bytes], other: list[bytes]
) -> None:
    assert (Fingerprint.of(one) == Fingerprint.of(other)) is (sorted(one) == sorted(other))
    assert Fingerprint.of(reversed(one)) == Fingerprint.of(one)


@given(one=lines, other=lines)
def test_parts_add_up_to_the_whole(one: list[bytes], other: list[bytes]) -> None:
    assert Fingerprint.of(one) + Fingerprint.of(other) == Fingerprint.of(one + other)
    assert sum([Fingerprint.of([line]) for line in one], Fingerprint()) == Fingerprint.of(one)


def test_a_line_that_is_there_twice_is_no_line_that_is_there_once() -> None:
    assert Fingerprint.of([b"a", b"a"]) != Fingerprint.of([b"a"])
    assert Fingerprint.of([b"a", b"a"]) != Fingerprint.of([b"b", b"b"])
    assert Fingerprint.of([b"a"] * 3).lines == 3
