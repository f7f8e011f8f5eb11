"""A fingerprint depends on the lines and their number, and not on their order."""

from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.compact.day_lines import Fingerprint

lines = st.lists(st.binary(max_size=8), max_size=6)


@given(first=lines, second=lines)
def test_fingerprints_are_equal_exactly_for_equal_multisets(first: list[bytes], second: list[bytes]) -> None:
    assert (Fingerprint.from_lines(first) == Fingerprint.from_lines(second)) is (sorted(first) == sorted(second))
    assert Fingerprint.from_lines(reversed(first)) == Fingerprint.from_lines(first)


@given(first=lines, second=lines)
def test_fingerprints_of_parts_add_up(first: list[bytes], second: list[bytes]) -> None:
    assert Fingerprint.from_lines(first) + Fingerprint.from_lines(second) == Fingerprint.from_lines(first + second)
    assert sum([Fingerprint.from_lines([line]) for line in first], Fingerprint()) == Fingerprint.from_lines(first)


def test_a_repeated_line_changes_the_fingerprint() -> None:
    assert Fingerprint.from_lines([b"a", b"a"]) != Fingerprint.from_lines([b"a"])
    assert Fingerprint.from_lines([b"a", b"a"]) != Fingerprint.from_lines([b"b", b"b"])
    assert Fingerprint.from_lines([b"a"] * 3).lines == 3
