"""The files of `hip3 report`, and what it prints, as a shell sees them: encodings, pipes, full devices, odd names."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.analysis.reporting.model import Report
from simulator.history import HistoryPlan, write
from tests.unit.analysis.reporting.test_command import run

HIP3 = (sys.executable, "-m", "hip3_tasks")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history")
    write(HistoryPlan(signals=600, hours=1, markets=3, copies=4.0, seed=9), directory)
    return directory


def hip3(*words: Any, **options: Any) -> subprocess.CompletedProcess[bytes]:
    options = {"stdout": subprocess.PIPE} | options
    return subprocess.run([*HIP3, *map(os.fspath, words)], stderr=subprocess.PIPE, check=False, **options)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_no_encoding_keeps_the_files_from_being_written(history: Path, tmp_path: Path, encoding: str) -> None:
    files = [tmp_path / name for name in ("r.json", "r.html", "r.csv")]
    options = [word for pair in zip(("--json-out", "--html", "--csv"), files, strict=True) for word in pair]
    done = hip3("report", history, *options, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr.count(b"written\n")) == (0, 3)
    assert all(file.stat().st_size for file in files)
    assert b"-" in done.stdout and "−".encode() not in done.stdout


def test_files_are_written_before_anything_is_shown(history: Path, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    with Path("/dev/full").open("wb") as full:
        done = hip3("report", history, "--json-out", file, stdout=full)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, b"hip3: No space left on device")
    assert Report.model_validate_json(file.read_bytes()).coverage.signals == 600
    file.unlink()
    reading, writing = os.pipe()
    os.close(reading)
    done = hip3("report", history, "--json-out", file, stdout=writing)
    os.close(writing)
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert file.exists()


@pytest.mark.parametrize("words", [["--json", "-"], ["--json-out", "-"], ["--json-out", "/dev/stdout"], ["--json"]])
def test_json_alone_goes_to_standard_output(history: Path, words: list[str], tmp_path: Path) -> None:
    done = hip3("report", history, *words, "--csv", tmp_path / "r.csv", cwd=tmp_path)
    assert json.loads(done.stdout)["coverage"]["signals"] == 600
    assert done.stderr.endswith(b"r.csv written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]


def test_a_pipe_of_the_shell_is_written_to(history: Path) -> None:
    command = f"{sys.executable} -m hip3_tasks report '{history}' --json-out >(wc -c >&2) >/dev/null; wait"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, check=True)
    assert any(line.isdigit() and int(line) > 1000 for line in done.stderr.split())


def test_standard_output_has_room_for_one(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(history, "--json", "--csv", "-") == 2
    assert "standard output has room for one output" in capsys.readouterr().err
    assert run(history, "--csv", "-") == 0
    assert capsys.readouterr().out.startswith("group,")


@pytest.mark.parametrize(
    "name",
    [
        *("signals_2026-01-20.jsonl", "followups_2030-01-01.parquet", "signals_2026-01-20.jsonl.gz", "rules.jsonl"),
        *("run.json", ".feed", ".recorder", ".up.lock", "watched_2026-01-20.jsonl", "14.parquet"),
    ],
)
@pytest.mark.parametrize("is_linked", [False, True])
def test_no_output_replaces_recorded_data(
    history: Path, tmp_path: Path, name: str, is_linked: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded, path = tmp_path / name, tmp_path / ("link" if is_linked else name)
    recorded.write_text("recorded")
    if is_linked:
        path.symlink_to(recorded)
    for option in ("--json-out", "--html", "--csv", "--thresholds"):
        assert run(history, option, path) == 2
        captured = capsys.readouterr()
        assert "a name of recorded data or of a running system; name another file" in captured.err
    assert recorded.read_text() == "recorded"


def test_two_outputs_do_not_share_a_file(history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sub").mkdir()
    assert run(history, "--json-out", tmp_path / "x", "--csv", tmp_path / "sub" / ".." / "x") == 2
    assert "x: asked for by 2 outputs; name a file for each" in capsys.readouterr().err
    assert run(history, "--json-out", "/dev/null", "--csv", "/dev/null") == 0


def test_a_name_that_is_not_utf_8_is_shown_escaped(tmp_path: Path) -> None:
    odd, beside = os.fsdecode(os.fsencode(tmp_path) + b"/odd-\xff"), tmp_path / "beside"
    for directory in (odd, beside):
        write(HistoryPlan(signals=60, hours=1, markets=2, copies=2.0, seed=9), Path(directory))
    files = [Path(odd, name) for name in ("r.json", "r.html")]
    done = hip3("report", odd, "--json-out", files[0], "--html", files[1])
    assert done.returncode == 0, done.stderr
    assert json.loads(Path(files[0]).read_bytes())["notes"]["dirs"] == [odd.replace("\udcff", "\\udcff")]
    assert b"odd-\\udcff" in Path(files[1]).read_bytes()
    for command in ("audit", "compact"):
        for words in ((command, odd, beside), (command, "--json", odd, beside)):
            done = hip3(*words)
            assert b"Traceback" not in done.stderr and b"\\udcff" in done.stdout
    assert list(beside.glob("*.parquet"))


def test_a_formula_in_a_name_is_quoted_in_the_csv(history: Path, tmp_path: Path) -> None:
    from hip3_tasks.analysis.reporting.command import as_csv

    assert run(history, "--json-out", tmp_path / "r.json") == 0
    report = Report.model_validate_json((tmp_path / "r.json").read_bytes())
    for start in "=+-@":
        report.groups[0].name = f"{start}HYPERLINK(1)"
        assert f"\n'{start}HYPERLINK(1)," in as_csv(report)
