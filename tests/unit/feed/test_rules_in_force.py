"""A feed writes down the rules that it detects with, and from when on."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from feed.__main__ import rules_noted, write_now
from hip3_tasks.errors import JournalError
from hip3_tasks.files.rules_log import NAME, RulesNote, read_rules, rules_of
from hip3_tasks.settings import Settings
from tests.support.factories import T0_MS


def test_each_change_of_the_rules_has_a_line(tmp_path: Path) -> None:
    first, other = Settings(data_dir=tmp_path), Settings(data_dir=tmp_path, cooldown_ms=700, offsets_ms="200,400")
    for number, settings in enumerate([first, first, other, other, first]):
        write_now(RulesNote(tmp_path, settings.rules, from_ms=T0_MS + number))
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
        write_now(RulesNote(settings.data_dir, settings.rules, from_ms=T0_MS))
    events = [(log["event"], log["log_level"]) for log in logs]
    assert events == [("rules_not_read", "warning")] * is_file + [("rules_not_noted", "warning")]


def test_rules_that_were_refused_are_written_later_and_once(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    rules = RulesNote(tmp_path, Settings(data_dir=tmp_path).rules, from_ms=T0_MS)
    with pytest.raises(JournalError):
        rules.write()
    (tmp_path / NAME).rmdir()
    rules.write()
    rules.write()
    assert [line.from_ms for line in read_rules(tmp_path)] == [T0_MS]


def test_later_rules_replace_those_that_were_to_begin_after_them(tmp_path: Path) -> None:
    first, other = Settings(data_dir=tmp_path).rules, Settings(data_dir=tmp_path, cooldown_ms=700).rules
    for from_ms, rules in [(0, first), (500, other), (200, first), (900, other)]:
        RulesNote(tmp_path, rules, from_ms=T0_MS + from_ms).write()
    assert [(line.from_ms - T0_MS, rules_of(line)) for line in read_rules(tmp_path)] == [
        (0, first),
        (200, first),
        (900, other),
    ]
