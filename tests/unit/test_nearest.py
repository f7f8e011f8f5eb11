import pytest

from hip3_tasks.terminal_text import nearest

NAMES = ["xyz:TSLA", "xyz:NVDA", "para:TSLA", "xyz:XYZ100"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("xyz:TLSA", "xyz:TSLA"),
        ("xyz:tsla", "xyz:TSLA"),
        ("xyz:TSL", "xyz:TSLA"),
        ("xzy:TSLA", "xyz:TSLA"),
        ("xyz:XYZ10", "xyz:XYZ100"),
        ("xyz:NOPE", None),
        ("moon:A", None),
    ],
)
def test_a_similar_name_is_suggested(name: str, meant: str | None) -> None:
    assert nearest(name, NAMES) == meant
    assert nearest(name, reversed(NAMES)) == meant


def test_without_names_none_is_suggested() -> None:
    assert nearest("xyz:TSLA", []) is None
