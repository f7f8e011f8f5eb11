"""`hip3 audit`: its exit status, its text and its JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hip3_tasks.audit.audit import audit_command
from tests.support.audits import SIGNAL, outcomes, write
from tests.support.factories import DAY, T0_MS, a_signal


def good(data_dir: Path) -> None:
    write(data_dir, "signals", [SIGNAL])
    write(data_dir, "followups", outcomes())


def bad(data_dir: Path) -> None:
    write(data_dir, "signals", [a_signal(at_ms=T0_MS + at_ms) for at_ms in range(10)])
    write(data_dir, "missed", [b"[markup]\n"])


@pytest.mark.parametrize(("fill", "status", "verdict"), [(good, 0, "all is well"), (bad, 1, "31 faults")])
def test_the_command_exits_with_zero_only_without_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fill: Callable[[Path], None], status: int, verdict: str
) -> None:
    fill(tmp_path)
    assert audit_command([tmp_path], as_json=False) == status
    out = capsys.readouterr().out
    assert verdict in out
    assert DAY in out
    if fill is bad:
        assert "open too long: 30" in out
        assert "and 10 more" in out
        assert "[markup]" in out


def test_several_directories_are_one_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, fill in ("one", good), ("two", bad):
        (tmp_path / name).mkdir()
        fill(tmp_path / name)
    assert audit_command([tmp_path / "one", tmp_path / "two"], as_json=True) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is False
    assert [directory["ok"] for directory in result["directories"]] == [True, False]
    assert result["directories"][0]["total"]["followups"] == 3
    assert result["directories"][1]["total"]["faults"] == {"open too long": 30, "broken line": 1}
    assert result["directories"][1]["days"][DAY]["signals"] == 10
