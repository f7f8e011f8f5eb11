"""`hip3 report`: its output, its files and its errors."""

import csv
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from hip3_tasks import analysis, settings
from hip3_tasks.analysis.loading.load import load
from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.reporting import model
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.command import ReportOutputs, as_csv, report_command
from hip3_tasks.analysis.reporting.html import as_html
from hip3_tasks.analysis.reporting.model import Report
from hip3_tasks.analysis.reporting.plan import ANYBODY
from hip3_tasks.analysis.reporting.terminal import show
from hip3_tasks.cli import app, exit_status
from simulator.history import HistoryPlan, write
from tests.support.factories import a_followup, a_signal
from tests.support.generators import Directory

PLAN = HistoryPlan(signals=6_000, hours=4, markets=8, copies=6.0, seed=5)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history")
    write(PLAN, directory)
    return directory


def run(*arguments: object) -> int:
    return exit_status(lambda: app(["report", *map(str, arguments)], prog_name="hip3", standalone_mode=False))


def written_report(history: Path, tmp_path: Path) -> Report:
    path = tmp_path / "report.json"
    assert report_command([history], Selection(), by=By.MARKET, trader=ANYBODY, outputs=ReportOutputs(json=path)) == 0
    return Report.model_validate_json(path.read_bytes())


def test_all_files_have_the_same_report(history: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("r.json", "r.csv", "t.json")]
    assert run(history, "--json-out", paths[0], "--csv", paths[1], "--thresholds", paths[2]) == 0
    report = Report.model_validate_json(paths[0].read_bytes())
    lines = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert [(line["group"], int(line["offset_ms"])) for line in lines] == [
        (group.name, horizon.offset_ms) for group in (report.total, *report.groups) for horizon in group.horizons
    ]
    assert float(lines[0]["net_bps_low"]) == report.total.horizons[0].net_bps.low
    assert float(lines[0]["markout_p90_bps"]) == report.total.horizons[0].markout_quantiles_bps[-1]
    assert report.search is not None
    assert json.loads(paths[2].read_text()) == report.search.recommended_bps()


def test_with_json_it_prints_nothing_else(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([history, "--json"], ["--json", history]):
        assert run(*words) == 0
        captured = capsys.readouterr()
        assert Report.model_validate_json(captured.out).coverage.signals == PLAN.signals
        assert captured.err == ""


@pytest.mark.parametrize("words", [["--json", "FILE"], ["--json=FILE"]])
def test_a_file_after_json_is_written_and_the_new_option_is_named(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    path = tmp_path / "report.json"
    assert run(history, *[word.replace("FILE", str(path)) for word in words]) == 0
    assert Report.model_validate_json(path.read_bytes()).coverage.signals == PLAN.signals
    captured = capsys.readouterr()
    assert f"hip3: --json FILE is now --json-out FILE: {path} is taken for a file\n" in captured.err
    assert captured.out.startswith("6,000 signals of 8 markets")


def test_pipes_and_links_are_written_in_place(history: Path, tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "latest.csv", tmp_path / "r.csv"
    os.mkfifo(pipe)
    link.symlink_to(file.name)
    file.write_text("an older one")
    with ThreadPoolExecutor(1) as beside:
        read = beside.submit(pipe.read_text)
        assert run(history, "--json-out", pipe, "--csv", link) == 0
    assert file.read_text() == as_csv(Report.model_validate_json(read.result()))
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, pipe, file]


def test_the_feed_reads_the_thresholds_file(history: Path, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    assert run(history, "--thresholds", path) == 0
    assert settings.load(thresholds=path).rules.thresholds_bps == json.loads(path.read_text())


@pytest.mark.parametrize("by", list(By))
def test_every_grouping_adds_up_to_all_signals(history: Path, tmp_path: Path, by: By) -> None:
    path = tmp_path / "report.json"
    assert run(history, "--by", by, "--json-out", path) == 0
    report = Report.model_validate_json(path.read_bytes())
    assert sum(group.signals for group in report.groups) == report.coverage.signals
    assert sum(group.captured for group in report.groups) == report.coverage.captured
    coverage = report.coverage
    assert coverage.open == coverage.expected - coverage.captured - sum(coverage.missed.values()) >= 0


def test_a_given_cost_replaces_the_recorded_ones(history: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert run(history, "--cost-bps", 2.5, "--json-out", path) == 0
    for horizon in Report.model_validate_json(path.read_bytes()).total.horizons:
        assert horizon.markout_bps.value is not None
        assert horizon.net_bps.value == pytest.approx(horizon.markout_bps.value - 2.5)


@pytest.mark.parametrize("columns", [80, 132, 200])
def test_the_tables_fit_the_terminal(history: Path, tmp_path: Path, columns: int) -> None:
    console = Console(width=columns, force_terminal=True, file=io.StringIO(), color_system=None)
    show(written_report(history, tmp_path), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(len(line) <= columns for line in text.splitlines() if "─" in line)
    assert "…  " not in text  # no cell is cut off
    assert all(market in text for market in ("xyz:TSLA", "xyz:NVDA"))


def test_missing_values_of_a_group_are_dashes_on_the_terminal(tmp_path: Path) -> None:
    """Its own longest horizon does not replace the longest, and an unknown half-life is not `longer`."""
    short, without = (a_signal(coin, offsets_ms=(1000,)) for coin in ("xyz:SHORT", "xyz:WITHOUT"))
    Directory(tmp_path).add(a_signal(), a_followup(offset_ms=5000), short, a_followup(short), without)
    console = Console(width=132, file=io.StringIO())
    show(build_report(load(tmp_path), by=By.MARKET, cost_bps=None, at_ms=0), console)
    assert isinstance(console.file, io.StringIO)
    rows = {line.split()[0]: line.split()[1:] for line in console.file.getvalue().splitlines() if "xyz:" in line}
    assert rows["xyz:WITHOUT"][1:] == ["–"] * 10
    assert rows["xyz:SHORT"][3:7] + rows["xyz:SHORT"][-4:] == ["–"] * 8


def test_control_characters_in_a_name_are_escaped_on_the_terminal(history: Path, tmp_path: Path) -> None:
    report = written_report(history, tmp_path)
    report.groups[0].name = "xyz:\x1b[2J"
    console = Console(width=132, file=io.StringIO())
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[2J" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere"], "/nowhere: No such file or directory"),
        (["DIR", "--date", "2031-01-01"], "no selected day has files: there are 2026-01-20"),
        (["DIR", "--date", "tomorrow"], "--date: expected a day like 2026-01-20, was 'tomorrow'"),
        (["DIR", "--date", "2026-01-20", "--since", "3h"], "either --date or --since and --until"),
        (["DIR", "--since", "noon"], "--since: expected 2026-01-20, 2026-01-20T14:30 or 90m, 12h, 3d, was 'noon'"),
        (["DIR", "--since", "2026-01-21", "--until", "2026-01-20"], "--since 2026-01-21 is not before"),
        (["DIR", "--coin", "TSLA"], "--coin: expected DEX:COIN, as in xyz:TSLA, was 'TSLA'"),
        (
            ["DIR", "--coin", "xyz:NOSUCH"],
            "hip3: xyz:NOSUCH: the selection has no signal of it: nothing to report on",
        ),
        (["DIR", "--coin", "xyz:NOSUCH", "--json"], "xyz:NOSUCH: the selection has no signal of it"),
        (
            ["DIR", "--by", "moon"],
            "--by: expected one or two of market, side, session, edge, hour, oracle-age,",
        ),
        (["DIR", "--cost-bps", "-1"], "expected a number from 0 up, was -1"),
        (["DIR", "--json-out", "/nowhere/r.json"], "/nowhere/r.json: there is no directory /nowhere"),
        (["DIR", "--csv", "DIR"], "a directory; expected the name of a file"),
    ],
)
def test_a_mistake_gives_an_error_of_one_line(
    history: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(*[str(history) if word == "DIR" else word for word in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_coin_without_data_is_named_and_the_others_are_reported(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "xyz:TLSA: the selection has no signal of it"
    words = [history, "--coin", "xyz:TSLA", "--coin", "xyz:TLSA"]
    assert run(*words) == 0
    assert f"{sentence}; did you mean xyz:TSLA?\n" in capsys.readouterr().out
    assert run(*words, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["notes"]["absent_coins"] == {"xyz:TLSA": "xyz:TSLA"}
    assert captured.err == f"hip3: {sentence}; did you mean xyz:TSLA?\n"


def test_a_page_without_its_package_is_refused_before_any_work(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "hip3_tasks.analysis.reporting.html", raising=False)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run(history, "--html", tmp_path / "report.html") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("hip3: jinja2 is not installed: ")


def test_reading_files_alone_imports_no_numpy() -> None:
    code = "import sys; from hip3_tasks.analysis import By, lines_of, load; print('numpy' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
    assert analysis.build_report is build_report


def test_csv_has_a_line_for_each_group_and_horizon(history: Path, tmp_path: Path) -> None:
    report = written_report(history, tmp_path)
    assert as_csv(report).count("\n") == 1 + 3 * (1 + len(report.groups))


def test_of_many_groups_the_largest_are_shown_and_the_files_have_all(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "MAX_ROWS", 3)
    report = written_report(history, tmp_path)
    assert len(report.groups) == 8
    largest = sorted(report.groups, key=lambda group: group.signals)[-3:]
    console = Console(width=132, file=io.StringIO())
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    shown, page = console.file.getvalue(), as_html(report)
    assert {group.name for group in report.groups if f" {group.name} " in shown} == {group.name for group in largest}
    assert "Shown: the 3 with the most signals; 5 more are in the files." in shown
    assert page.count("Shown: the 3 with the most signals; 5 more are in the files.") == 2
    for index, group in enumerate(report.groups):
        assert (f'data-path="groups.{index}.name"' in page) == (group in largest)
    assert as_csv(report).count("\n") == 1 + 3 * (1 + 8)
