"""Lines are broken between pieces."""

from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.status.wrapping import listed, wrapped

PIECES = st.lists(st.text(alphabet="ab1,. é漢", max_size=30), min_size=1)


@given(pieces=PIECES, width=st.integers(6, 40), hanging=st.sampled_from(["", "    "]))
def test_no_line_is_longer_and_no_text_is_lost(pieces: list[str], width: int, hanging: str) -> None:
    lines = wrapped(pieces, width=width, hanging=hanging)
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(pieces).replace(" ", "")
    assert all(line.startswith(hanging) for line in lines[1:])


@given(numbers=st.lists(st.integers(0, 10**9).map("{:,}".format), min_size=1), width=st.integers(14, 40))
def test_a_piece_that_fits_a_line_is_not_broken(numbers: list[str], width: int) -> None:
    lines = wrapped(listed(numbers), width=width)
    assert [word.rstrip(",") for line in lines for word in line.split(" ")] == numbers


@given(text=st.text(alphabet="ab 1", max_size=40))
def test_a_short_text_is_not_changed(text: str) -> None:
    assert wrapped(text.split(" "), width=40) == [text]


def test_a_long_piece_is_broken_between_its_words_and_a_long_word_anywhere() -> None:
    pieces = ["81", "missed (no_quote: 1,234)", "/data/" + "x" * 12]
    assert wrapped(pieces, width=16, hanging="  ") == [
        "81 missed",
        "  (no_quote:",
        "  1,234)",
        "  /data/xxxxxxxx",
        "  xxxx",
    ]


def test_a_list_has_its_separators_and_none_at_the_end() -> None:
    assert (listed(["a", "b"]), listed(["a", "b"], separator=" |"), listed([])) == (["a,", "b"], ["a |", "b"], [])
