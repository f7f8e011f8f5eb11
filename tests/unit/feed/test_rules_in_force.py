"""A feed writes down the rules that it detects with, and from when on."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from feed.__main__ import note_rules_in_force, rules_noted
from hip3_tasks.files.rules_log import NAME, read_rules, rules_of
from hip3_tasks.settings import Settings
from tests.support.factories import T0_MS


def test_each_change_of_the_rules_has_a_line(tmp_path: Path) -> None:
    first, other = Settings(data_dir=tmp_path), Settings(data_dir=tmp_path, cooldown_ms=700, offsets_ms="200,400")
    for number, settings in enumerate([first, first, other, other, first]):
        note_rules_in_force(settings, from_ms=T0_MS + number)
    lines = read_rules(tmp_path)
    assert [line.from_ms - T0_MS for line in lines] == [0, 2, 4]
    assert [rules_of(line) for line in lines] == [first.rules, other.rules, first.rules]


@pytest.mark.parametrize("is_file", [True, False])
def test_a_disk_that_refuses_is_a_warning(is_file: bool, tmp_path: Path) -> None:
    if is_file:
        (tmp_path / NAME).mkdir()
    settings = Settings(data_dir=tmp_path if is_file else tmp_path / "absent")
    with capture_logs() as logs:
        assert rules_noted(settings.data_dir) == []
        note_rules_in_force(settings, from_ms=T0_MS)
    events = [(log["event"], log["log_level"]) for log in logs]
    assert events == [("rules_not_read", "warning")] * is_file + [("rules_not_noted", "warning")]
