"""The example of a bot and its tests runs with the command in its first line."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "test_bot.py"


def test_the_bot_passes_its_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_bot=EXAMPLE.read_text())
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=5)
