"""`hip3 probe` as a user runs it."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import HIP3, ProcessUnderTest, environment
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def venue_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("venue")
    command = (sys.executable, "-m", "simulator", "--port", "0", "--fault", "odd-fee:xyz:TSLA")
    with ProcessUnderTest(*command, log=folder / "venue.log", stdout=folder / "venue.out") as process:
        eventually("its URL", lambda: process.stdout.endswith("\n"), within_s=20)
        yield process.stdout.strip()


def probe(folder: Path, *arguments: str, venue_url: str) -> ProcessUnderTest:
    return ProcessUnderTest(
        *(*HIP3, "probe", "--venue", venue_url, *arguments),
        log=folder / "probe.log",
        stdout=folder / "probe.out",
        cwd=folder,
        env=environment(),
    )


def test_the_file_of_a_probe_is_what_json_prints_and_a_broken_assumption_is_status_1(
    venue_url: str, tmp_path: Path
) -> None:
    with probe(tmp_path, "--minutes", "0.05", "--coins", "3", "--json", venue_url=venue_url) as process:
        assert process.wait(30) == 1, process.log
        (file,) = tmp_path.glob("probe_????-??-??.json")
        document = json.loads(file.read_text())
        assert json.loads(process.stdout) == document
        assert len(document["markets"]) == 3 and document["is_complete"]
        assert "shares the limits of this IP with a feed" in process.log


def test_ctrl_c_writes_what_was_measured_and_ends_with_130(venue_url: str, tmp_path: Path) -> None:
    out = tmp_path / "probe.json"
    with probe(tmp_path, "--coins", "xyz:TSLA", "--out", "probe.json", venue_url=venue_url) as process:
        eventually("the probe has begun", out.exists, within_s=20)
        eventually("it listens", lambda: "a feed\n" in process.log, within_s=20)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130, process.log
        assert not json.loads(out.read_text())["is_complete"]
        assert "written to probe.json" in process.stdout and "Traceback" not in process.log


def test_a_file_that_exists_is_kept(venue_url: str, tmp_path: Path) -> None:
    (tmp_path / "probe.json").write_text("mine")
    with probe(tmp_path, "--out", "probe.json", venue_url=venue_url) as process:
        assert process.wait(30) == 2
        assert process.log == "hip3: probe.json exists; name another file with --out\n"
    assert (tmp_path / "probe.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--coins", "xyz:TLSA"], "--coins: the venue has no live market xyz:TLSA"),
        (["--coins", "51"], "--coins: expected 1 to 50 markets of 4 subscriptions each, was 51"),
        (["--coins", "TSLA"], "--coins: the venue has no live market TSLA"),
        (["--minutes", "0"], "Invalid value for --minutes: expected 0.01 to 1440, was 0"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(
    arguments: list[str], words: str, venue_url: str, tmp_path: Path
) -> None:
    with probe(tmp_path, *arguments, venue_url=venue_url) as process:
        assert process.wait(30) == 2
        assert process.log.endswith(f"hip3: {words}\n")
    assert not list(tmp_path.glob("*.json"))


def test_a_venue_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    with probe(tmp_path, venue_url="http://127.0.0.1:9") as process:
        assert process.wait(30) == 2
        assert process.log.splitlines()[1:] == [
            "hip3: http://127.0.0.1:9/info: no live market; perpDexs: connection refused"
        ]
    assert not list(tmp_path.glob("*.json"))
