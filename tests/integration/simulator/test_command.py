"""`python -m simulator` as a user starts it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from simulator import __main__ as command_line

ROOT = Path(__file__).parents[3]


def command(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "simulator", *arguments]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_base_url_plays_its_market_and_ends_cleanly(number: signal.Signals) -> None:
    async def scenario(base_url: str) -> None:
        async with connect(f"{base_url.replace('http', 'ws', 1)}/ws") as ws:
            await ws.recv()
            for kind in ("bbo", "activeAssetCtx"):
                subscription = {"type": kind, "coin": "xyz:TSLA"}
                await ws.send(json.dumps({"method": "subscribe", "subscription": subscription}))
            wanted = {"subscriptionResponse", "bbo", "activeAssetCtx"}
            while wanted:
                wanted.discard(json.loads(await ws.recv())["channel"])

    process = command("--port", "0")
    assert process.stdout is not None
    asyncio.run(asyncio.wait_for(scenario(process.stdout.readline().strip()), timeout=10))
    process.send_signal(number)
    _, complaint = process.communicate(timeout=10)
    assert (process.returncode, complaint) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "ten"], "--rate"),
        (["--prot", "1"], "--prot"),
        (["--from", "none.json"], "none.json: No such file"),
    ],
)
def test_a_bad_option_is_one_line_and_status_2(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulator", *arguments])
    assert command_line.run() == 2
    output, complaint = capsys.readouterr()
    assert output == ""
    assert said in complaint
    assert complaint.count("\n") == 1


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = command("--port", str(taken.getsockname()[1]))
        _, complaint = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "address already in use" in complaint
    assert complaint.count("\n") == 1


def test_it_ends_by_itself_when_its_parent_is_gone() -> None:
    simulator = "[sys.executable, '-m', 'simulator', '--port', '0', '--parent-pid', str(os.getpid())]"
    pipes = "stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True"
    parent = f"import os, subprocess, sys\nprint(subprocess.Popen({simulator}, {pipes}).stdout.readline())"
    line = [sys.executable, "-c", parent]
    finished = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    host, port = finished.stdout.strip().removeprefix("http://").split(":")
    deadline_s = time.monotonic() + 5
    while _listens(host, int(port)):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
