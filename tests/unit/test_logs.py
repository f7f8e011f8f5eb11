import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, structlog
from hip3_tasks.logs import configure_logs
configure_logs("info", file=sys.argv[1] if sys.argv[1:] else None)
for _ in range(3):
    structlog.get_logger().error("signals_not_written\\x1b[2J", market="xyz:A\\nforged\\x9b31m\\u2028\\u202e")
print("went on")
"""


needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@needs_dev_full
def test_a_log_on_a_full_disk_loses_lines_and_nothing_else() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=full, text=True)
    assert ended.stdout == "went on\n"


def test_quoted_text_cannot_forge_a_log_line() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() and line.isascii() for line in lines)


@needs_dev_full
def test_a_file_takes_the_lines_and_a_full_disk_drops_them(tmp_path: Path) -> None:
    for path in (tmp_path / "log", Path("/dev/full")):
        ended = subprocess.run([sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True)
        assert (ended.stdout, ended.stderr) == ("went on\n", "")
    assert len((tmp_path / "log").read_text().splitlines()) == 3


OUTAGE = """
import structlog
from hip3_tasks import logs
now = [0.0]
logs.time.monotonic = lambda: now[0]
logs.configure_logs("info")
for now[0] in (0.0, 1.0, 59.0, 61.0):
    for text in ("MISCONF disk 7", "READONLY replica"):
        structlog.get_logger().error("sweep_failed", outage=OSError(text))
        structlog.get_logger().error("followup_failed", error=text)
"""


def test_an_outage_is_logged_once_a_minute_for_each_cause_with_the_number_left_out() -> None:
    ended = subprocess.run([sys.executable, "-c", OUTAGE], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    outages = [(line["error"], line.get("left_out")) for line in lines if line["event"] == "sweep_failed"]
    assert outages == [
        ("MISCONF disk 7", None),
        ("READONLY replica", None),
        ("MISCONF disk 7", 2),
        ("READONLY replica", 2),
    ]
    assert [line["event"] for line in lines].count("followup_failed") == 8
