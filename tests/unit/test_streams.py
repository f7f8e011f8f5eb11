"""The replacement of characters that an output cannot encode."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.cli import streams


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\N{MINUS SIGN}7.46", "-7.46"),
        ("12.25\N{NO-BREAK SPACE}… 12.48", "12.25 ~ 12.48"),
        ("–", "-"),
        ("signal\N{RIGHT SINGLE QUOTATION MARK}s", "signal's"),
        ("données", "donn\\xe9es"),
        ("\udcff", "\\udcff"),
        ("\N{PARTY POPPER}", "\\U0001f389"),
    ],
)
def test_a_character_is_shown_by_its_like_or_its_escape(text: str, shown: str) -> None:
    assert streams.plain(text) == shown


@given(st.text(st.sampled_from([*streams.PLAIN])))
def test_replaced_characters_keep_their_width(text: str) -> None:
    assert len(streams.plain(text)) == len(text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@given(text=st.text(st.characters(exclude_categories=[]), max_size=20))
def test_every_text_can_be_printed_in_every_encoding(encoding: str, text: str) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", output)
        streams.encode_always()
        print(text, end="", flush=True)
    shown = output.detach().getvalue().decode(encoding)
    assert shown == "".join(char if _encodes(char, encoding) else streams.plain(char) for char in text)


def _encodes(char: str, encoding: str) -> bool:
    try:
        return bool(char.encode(encoding))
    except UnicodeEncodeError:
        return False
