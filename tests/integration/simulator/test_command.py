"""`python -m simulator` as a user starts it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from simulator import __main__ as command_line
from simulator.faults.table import lines
from tests.support.process import ROOT, ProcessUnderTest
from tests.support.waiting import eventually


def simulator(folder: Path, *arguments: str) -> ProcessUnderTest:
    command = (sys.executable, "-m", "simulator", *arguments)
    return ProcessUnderTest(*command, log=folder / "simulator.log", stdout=folder / "simulator.out")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_base_url_plays_its_market_and_ends_cleanly(
    number: signal.Signals, tmp_path: Path
) -> None:
    async def scenario(base_url: str) -> None:
        async with connect(f"{base_url.replace('http', 'ws', 1)}/ws") as ws:
            await ws.recv()
            for kind in ("bbo", "activeAssetCtx"):
                subscription = {"type": kind, "coin": "xyz:TSLA"}
                await ws.send(json.dumps({"method": "subscribe", "subscription": subscription}))
            wanted = {"subscriptionResponse", "bbo", "activeAssetCtx"}
            while wanted:
                wanted.discard(json.loads(await ws.recv())["channel"])

    with simulator(tmp_path, "--port", "0") as process:
        eventually("its URL", lambda: process.stdout.endswith("\n"), within_s=10)
        asyncio.run(asyncio.wait_for(scenario(process.stdout.strip()), timeout=10))
        process.send_signal(number)
        assert (process.wait(10), process.log) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "ten"], "--rate"),
        (["--prot", "1"], "--prot"),
        (["--from", "none.json"], "none.json: No such file"),
        (["--fault", "frozen-bo"], "close to it: frozen-bbo"),
        (["--fault", "frozen-bbo:xyz:TLSA"], "close to it: xyz:TSLA"),
    ],
)
def test_a_bad_option_is_one_line_and_status_2(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulator", *arguments])
    assert command_line.run() == 2
    output, complaint = capsys.readouterr()
    assert output == ""
    assert words in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--fault", "list"], ["--check", "--fault", "frozen-bbo:xyz:TSLA@5-9"]])
def test_faults_are_listed_and_options_checked_without_a_run(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulator", *arguments])
    assert command_line.run() == 0
    output, complaint = capsys.readouterr()
    assert complaint == ""
    assert output.splitlines() == (lines() if "list" in arguments else [])


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = simulator(tmp_path, "--port", str(taken.getsockname()[1])).start()
        assert process.wait(10) == 1
    assert "address already in use" in process.log
    assert process.log.count("\n") == 1


def test_it_ends_by_itself_when_its_parent_is_gone() -> None:
    simulator = "[sys.executable, '-m', 'simulator', '--port', '0', '--parent-pid', str(os.getpid())]"
    pipes = "stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True"
    parent = f"import os, subprocess, sys\nprint(subprocess.Popen({simulator}, {pipes}).stdout.readline())"
    line = [sys.executable, "-c", parent]
    finished = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    host, port = finished.stdout.strip().removeprefix("http://").split(":")
    eventually("the simulator has ended", lambda: not _listens(host, int(port)), within_s=5)


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
