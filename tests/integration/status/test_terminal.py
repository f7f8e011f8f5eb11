"""The live panel on a real terminal device, and plain lines without a terminal."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Sequence
from contextlib import suppress

import pytest
from rich.console import Console

from hip3_tasks.status import terminal as module
from hip3_tasks.status.terminal import Display
from tests.support.process import ROOT, environment
from tests.support.screen import Screen
from tests.support.waiting import eventually
from tests.unit.status.test_panel import LONG, a_view

TIMEOUT_S = 30

# Shows view after view until Ctrl-C, then some more, as `hip3 up` does while it drains.
SHOWING = """
import fcntl, signal, sys, termios
from rich.console import Console
from hip3_tasks.status.terminal import Display
from tests.unit.status.test_panel import a_view

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
pressed = []
signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
print("\\n".join(f"before {number}" for number in range(int(sys.argv[1]))))
with Display(Console(file=sys.stdout)) as display:
    for at_s in range(2):
        display.show(a_view(title=f"hip3 up, {at_s:,} s, running"))
    print("SHOWN", file=sys.__stderr__, flush=True)  # the panel catches what goes to stderr
    while not pressed:
        signal.sigtimedwait((), 0.05)
    display.note("no new signals; what is pending is waited for. Ctrl-C stops at once")
    for at_s in range(2, 5):
        display.show(a_view(title=f"hip3 up, {at_s:,} s, draining", problems=[]))
display.say("this run: signals 81")
"""


def written_on_terminal(*arguments: str, width: int, height: int) -> str:
    """The output of a program on a terminal of this size; Ctrl-C is pressed when the program asks for it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", SHOWING, *arguments],
        cwd=ROOT,
        env=environment(TERM="xterm-256color", COLUMNS="", LINES=""),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(theirs)
    written = bytearray()
    reader = threading.Thread(target=read_all, args=(ours, written))
    reader.start()
    assert process.stderr is not None
    with process:
        try:
            shown = process.stderr.readline()
            # Ctrl-C discards the output that a terminal has not shown yet.
            eventually("both frames are there", lambda: written.count("╯".encode()) == 2)
            os.write(ours, b"\x03")
            assert (shown, process.wait(TIMEOUT_S)) == (b"SHOWN\n", 0), shown + process.stderr.read()
        finally:
            process.kill()
    reader.join()
    os.close(ours)
    return written.decode()


def read_all(terminal_fd: int, written: bytearray) -> None:
    # Reading from a terminal fails after its last program has ended.
    with suppress(OSError):
        while chunk := os.read(terminal_fd, 65_536):
            written += chunk


@pytest.mark.parametrize("height", [24, 50])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_ctrl_c_leaves_one_complete_frame(width: int, height: int) -> None:
    written = written_on_terminal("9", width=width, height=height)
    assert "^C" in written, "the terminal shows what is typed"
    screen = Screen(width=width, height=height)
    screen.write(written)
    lines = screen.lines
    assert lines[:9] == [f"before {number}" for number in range(9)]
    assert lines[9].startswith("no new signals; what is pending is waited for.")
    tops, bottoms = ([index for index, line in enumerate(lines) if line.startswith(corner)] for corner in "╭╰")
    assert len(tops) == len(bottoms) == 1, "\n".join(lines)
    frame = lines[tops[0] : bottoms[0] + 1]
    assert all(len(line) == width for line in frame)
    assert all(line[0] + line[-1] == "││" for line in frame[1:-1])
    assert "hip3 up, 4 s, draining" in frame[0]
    assert lines[bottoms[0] + 1 :] == ["this run: signals 81"]


def written_elsewhere(views: Sequence[object], *, is_quiet: bool = False) -> list[str]:
    out = io.StringIO()
    display = Display(Console(file=out, width=80), is_quiet=is_quiet)
    with display:
        display.announce({"page": "http://127.0.0.1:8700", "flower": "http://127.0.0.1:46281"})
        for view in views:
            display.show(view)  # type: ignore[arg-type]
        display.note("no new signals")
        display.say("worker died (exit 1)")
    return out.getvalue().splitlines()


WELL = a_view(problems=[])
RED, REDDER = (a_view(problems=[f"the watermark has stood for {number} s"]) for number in (6, 7))


def test_without_a_terminal_addresses_are_printed_once_and_problems_as_they_begin_and_end() -> None:
    lines = written_elsewhere([WELL, RED, REDDER, WELL])
    assert lines[:2] == ["page http://127.0.0.1:8700", "flower http://127.0.0.1:46281"]
    assert "\n".join(lines).count("http://") == 2
    assert lines[-4:] == [
        "red: the watermark has stood for 6 s",
        "over: the watermark has stood for 7 s",
        "no new signals",
        "worker died (exit 1)",
    ]
    assert lines[2].startswith("hip3 up, simulated venue, ")


def test_without_a_terminal_a_view_is_a_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_INTERVAL_S", 1e9)
    titles = [line for line in written_elsewhere([WELL] * 4) if line.startswith("hip3 up")]
    assert len(titles) == 1


def test_a_quiet_display_prints_only_problems() -> None:
    assert written_elsewhere([WELL, RED, REDDER, WELL], is_quiet=True) == [
        "red: the watermark has stood for 6 s",
        "over: the watermark has stood for 7 s",
        "worker died (exit 1)",
    ]


def test_without_a_terminal_every_line_is_short() -> None:
    views = [a_view(title=LONG, problems=[f"{name} {LONG}" for name in "abcdefgh"]), WELL]
    for is_quiet in (False, True):
        assert all(len(line) < 160 for line in written_elsewhere(views, is_quiet=is_quiet))


@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", terminal)
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=True, width=80)) as display:
        display.show(WELL)
    assert ("╭" in out.getvalue()) == (terminal == "xterm")
