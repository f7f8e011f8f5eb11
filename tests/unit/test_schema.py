"""The published schemas hold for real lines and for what commands really print, and name each of their fields."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from feed.followed_log import FollowedLog
from hip3_tasks.cli.schema import NAMES, RECORDS, schema_of
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.records import Dark
from hip3_tasks.files.rules_log import note_rules
from hip3_tasks.testing import play
from hip3_tasks.up.command import UpSummary
from simulator.history import HistoryPlan, write
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal, released
from tests.support.process import HIP3, run

COIN = "xyz:TSLA"
SIGNAL = a_signal(COIN)


def check_of(name: str) -> Callable[[Any], Any]:
    """A function that raises for JSON that the schema of a name does not describe whole."""
    document = schema_of(name)
    forbid_other_fields(document)
    check: Callable[[Any], Any] = fastjsonschema.compile(document)
    return check


def forbid_other_fields(part: Any) -> None:
    if isinstance(part, dict):
        if "properties" in part:
            part["additionalProperties"] = False
        for value in part.values():
            forbid_other_fields(value)
    elif isinstance(part, list):
        for value in part:
            forbid_other_fields(value)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a line of each kind, written as the system writes it."""
    folder = tmp_path_factory.mktemp("data")
    play(folder, [SIGNAL, a_followup(SIGNAL, 1000, markout_bps=None), a_missed(SIGNAL, 3000), a_followup(SIGNAL, 5000)])
    log = FollowedLog(folder)
    dark = {"xyz:DARK": Dark("xyz:DARK", "no frame", T0_MS)}
    log.update([COIN, "xyz:DARK"], heard=[COIN], dark=dark, at_ms=T0_MS)
    note_rules(folder, Rules(thresholds_bps={COIN: 12.5}), from_ms=T0_MS)
    return folder


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history") / "data"
    write(HistoryPlan(signals=300, markets=3), folder)
    return folder


@pytest.mark.parametrize("kind", RECORDS)
def test_each_line_that_the_system_writes_has_its_schema(data_dir: Path, kind: str) -> None:
    check = check_of(kind)
    (path,) = data_dir.glob(f"{kind}*.jsonl")
    lines = path.read_bytes().splitlines()
    assert lines
    for line in lines:
        check(json.loads(line))
        for wrong in ({"unknown": 1}, dict.fromkeys(schema_of(kind)["required"][:1])):
            with pytest.raises(fastjsonschema.JsonSchemaValueException):
                check(json.loads(line) | wrong)


def test_lines_of_the_first_release_have_it_too() -> None:
    for kind, record in (("signals", SIGNAL), ("followups", a_followup(SIGNAL)), ("missed", a_missed(SIGNAL))):
        check_of(kind)(json.loads(released(record)))


@pytest.mark.parametrize("command", ["audit", "compact", "report", "status"])
def test_what_a_command_prints_has_its_schema(history: Path, tmp_path: Path, command: str) -> None:
    option = ("--data-dir",) if command == "status" else ()
    printed = run(*HIP3, command, *option, str(history), "--json", cwd=tmp_path)
    assert printed.stderr == ""
    check_of(command)(json.loads(printed.stdout))


def test_the_summary_of_a_run_has_its_schema() -> None:
    summary = UpSummary(signals=1, followups=3, missed=0, pending=None, lateness_ms={"p50": 3, "p99": 9, "max": None})
    check_of("up")(json.loads(summary.model_dump_json()))


def test_the_command_prints_all_or_those_that_are_named(tmp_path: Path) -> None:
    everything = json.loads(run(*HIP3, "schema", cwd=tmp_path).stdout)
    assert list(everything) == list(NAMES)
    assert json.loads(run(*HIP3, "schema", "missed", "audit --replay", cwd=tmp_path).stdout) == {
        name: everything[name] for name in ("missed", "audit --replay")
    }
    mistaken = run(*HIP3, "schema", "misssed", cwd=tmp_path)
    assert mistaken.returncode == 2
    assert mistaken.stderr.startswith("hip3: no schema 'misssed': there are signals, followups, missed")
