"""The benchmark of the report: measurements, failed runs, and its section of the results."""

import subprocess
import sys
from pathlib import Path
from textwrap import indent

import polars as pl
import pytest

from benchmarks import published_query
from benchmarks.measured import Measured
from benchmarks.reportpage import ReportFigures, section
from benchmarks.sections import LIVE_PAGE, REPORT, section_of, with_section
from simulator.history import SMALL, write

FILES = (Path(__file__).parents[3] / "docs" / "files.md").read_text()
PAGE = "# Benchmark results\n\nFigures.\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def a_run(name: str = "a query", *, exit_code: int = 0, wall_s: float = 2.0) -> Measured:
    return Measured(name, "query", wall_s, 3.5, 140.0, exit_code, "")


def results(*runs: Measured, parquet_bytes: int = 0) -> ReportFigures:
    sizes = {"jsonl_bytes": 10 * 10**9, "parquet_bytes": parquet_bytes}
    return ReportFigures(4_402_100, {"memory": "24 GiB"}, list(runs), stray_cores=[0.1], **sizes)


def test_a_command_is_measured_apart_from_earlier_ones(log: Path) -> None:
    # In its own process: a child starts with the size of its parent, and pytest may have any size.
    measure = """if True:
        import sys; from pathlib import Path; from benchmarks.measured import Measured
        for code in ("bytearray(300_000_000)", "pass"):
            print(Measured.from_run("", [sys.executable, "-c", code], log=Path(sys.argv[1])).peak_mb)"""
    output = subprocess.run([sys.executable, "-c", measure, log], capture_output=True, text=True, check=True).stdout
    large_mb, small_mb = map(float, output.split())
    assert large_mb > 300
    assert small_mb < 50


def test_cpu_time_and_wall_time_are_measured_separately(log: Path) -> None:
    run = Measured.from_run("idle", [sys.executable, "-c", "import time; time.sleep(0.5)"], log=log)
    assert run.wall_s > 0.5 > run.cpu_s > 0


def test_a_failed_command_keeps_its_exit_code_and_its_output(log: Path) -> None:
    run = Measured.from_run("bad", [sys.executable, "-c", "raise SystemExit('no such thing')"], log=log)
    assert not run.is_done
    assert (run.exit_code, run.output) == (1, "no such thing")


def test_a_row_has_the_median_and_range_of_its_rounds_or_is_failed() -> None:
    output = section(results(a_run(), a_run(wall_s=4.0), a_run("broken", exit_code=2), parquet_bytes=2 * 10**9))
    assert "| a query | 3.0 (2.0-4.0) | 3.5 (3.5-3.5) | 140 (140-140) |" in output
    assert "| broken | failed |  |  |" in output
    assert "JSONL 10.00 GB, Parquet 2.00 GB: **5.0 times** smaller." in output


def test_a_section_replaces_only_itself() -> None:
    first, second = section(results(a_run())), section(results(a_run(wall_s=9.0)))
    other = f"{LIVE_PAGE}\nIts figures.\n"
    page = with_section(with_section(with_section(PAGE, first), other), second)
    assert page == f"{PAGE}\n{other}\n{second}"
    assert (section_of(page, REPORT), section_of(page, LIVE_PAGE)) == (second, other)
    assert section_of(PAGE, REPORT) == ""
    assert with_section(page, other) == f"{PAGE}\n{second}\n{other}"
    assert with_section(PAGE, "") == PAGE


def test_the_query_is_word_for_word_the_documented_one() -> None:
    published = FILES.split("retention = (\n")[1].split("\n)\n")[0]
    assert indent(published, "    ") in Path(published_query.__file__).read_text()


def test_the_query_gives_the_same_for_lines_and_for_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(SMALL, tmp_path)
    published_query.main(tmp_path)
    for path in tmp_path.glob("*.jsonl"):
        pl.read_ndjson(path).write_parquet(path.with_suffix(".parquet"))
        path.unlink()
    published_query.main(tmp_path)
    lines, parquet = capsys.readouterr().out.splitlines()
    assert lines == parquet
    assert lines.startswith("6,000 signals")
