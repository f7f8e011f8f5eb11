"""The word after `--json` is a file, unless it must be an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.cli.json_option import with_json_out


@pytest.mark.parametrize(
    ("words", "understood", "file"),
    [
        ("", "", None),
        ("--json", "--json", None),
        ("DIR --json", "DIR --json", None),
        ("--json DIR", "--json DIR", None),
        ("--json DIR out.json", "--json DIR out.json", None),
        ("DIR --json out.json", "DIR --json-out out.json", "out.json"),
        ("--json out.json DIR", "--json-out out.json DIR", "out.json"),
        ("--json=out.json DIR", "--json-out out.json DIR", "out.json"),
        ("--json=DIR", "--json-out DIR", "DIR"),
        ("--json= DIR", "--json-out  DIR", ""),
        ("--json --csv out.csv", "--json --csv out.csv", None),
        ("--json-out out.json DIR", "--json-out out.json DIR", None),
        ("--json-out out.json --json", "--json-out out.json --json", None),
        ("--json -- out.json", "--json -- out.json", None),
        ("DIR -- --json out.json", "DIR -- --json out.json", None),
        ("--html out.html --json out.json", "--html out.html --json-out out.json", "out.json"),
    ],
)
def test_a_word_after_the_flag_that_is_no_directory_is_a_file(words: str, understood: str, file: str | None) -> None:
    rewritten = with_json_out(words.split(" "), is_dir=lambda word: word == "DIR")
    assert rewritten == (understood.split(" "), file)


@given(st.lists(st.sampled_from(["--json", "--json=f", "--json-out", "f", "DIR", "--csv"])))
def test_no_word_of_a_json_option_is_lost(words: list[str]) -> None:
    rewritten, _ = with_json_out(words, is_dir=lambda word: word == "DIR")
    again, file = with_json_out(rewritten, is_dir=lambda word: word == "DIR")
    assert (again, file) == (rewritten, None)
    assert [word for word in rewritten if word in ("f", "DIR", "--csv")] == [
        word.removeprefix("--json=") for word in words if word in ("f", "DIR", "--csv", "--json=f")
    ]
