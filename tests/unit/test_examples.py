"""The examples run with the command in their first lines."""

import subprocess
import sys
from pathlib import Path

import pytest

from hip3_tasks.domain.market import Entry, Gap
from tests.support.factories import T0_MS, a_market
from tests.support.kept_tapes import keep
from tests.support.tapes import COIN, news

pytest_plugins = ["pytester"]

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_bot_passes_its_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_bot=(EXAMPLES / "test_bot.py").read_text())
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=5)


def draw(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = sys.executable, str(EXAMPLES / "neighbourhood.py"), *arguments
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_signal_s_neighbourhood_is_drawn_from_the_tape(tmp_path: Path) -> None:
    entries = [news(a_market(at_ms=T0_MS + after_ms), at_ms=T0_MS + after_ms) for after_ms in (-9000, 0, 9000)]
    keep(tmp_path, {COIN: [*entries[:2], Entry(T0_MS + 500, Gap("stalled")), entries[2]]})
    page = tmp_path / "neighbourhood.html"
    drawn = draw(str(tmp_path), f"{COIN}-{T0_MS}", str(page))
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert drawn.stdout.endswith("4 rows, 1 of them gaps\n")
    assert "seconds after the signal" in page.read_text()
    assert draw(str(tmp_path), f"xyz:NONE-{T0_MS}", str(page)).returncode == 1
