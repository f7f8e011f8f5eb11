"""Text from a file, Redis or a venue cannot control the terminal that shows it."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hip3_tasks.audit.audit import audit, audit_command
from hip3_tasks.audit.findings import show
from hip3_tasks.status.line_counts import LineCounts
from hip3_tasks.status.market_rows import MarketRow, MarketStatus
from hip3_tasks.status.redis_snapshot import RedisSnapshot
from hip3_tasks.status.system_status import SystemStatus
from hip3_tasks.status.terminal import Display, panel, plain
from hip3_tasks.status.view import View, essence
from hip3_tasks.terminal_text import printable, printable_lines
from tests.support.factories import T0_MS, a_followup, a_signal

EVIL = "x\x1b]0;forged\x07y\x9b31m\rz\x08\u202e[/red]\u2028\nRED: forged"
TEXTS = st.text() | st.text(alphabet="\x00\x07\x08\x1b\r\n\x7f\x9b\u2028\u202e[]/a")


@given(text=TEXTS)
def test_any_text_is_shown_as_one_inert_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


@given(text=TEXTS)
def test_printable_text_is_unchanged(text: str) -> None:
    kept = "".join(filter(str.isprintable, text))
    assert printable(kept) == kept


@given(text=TEXTS)
def test_lines_of_its_own_stay_lines(text: str) -> None:
    shown = printable_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert all(line.isprintable() for line in shown.split("\n"))


def test_an_escape_is_written_as_python_writes_it() -> None:
    assert printable("xyz:TSLA × −\x1b[2J\n") == "xyz:TSLA × −\\x1b[2J\\n"


def a_terminal() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=True, color_system=None, width=500), out


def an_evil_view() -> View:
    counts = LineCounts()
    counts.add("missed", [json.dumps({"signal_id": "a", "market_key": "b", "reason": EVIL}).encode()])
    snapshot = RedisSnapshot(at_ms=T0_MS, fault=EVIL)
    status = SystemStatus.from_parts(counts, snapshot)
    markets = [MarketRow(coin=EVIL, state=MarketStatus.LIVE, buy_edge_bps=9.0, threshold_bps=1.0)]
    texts = [EVIL]
    return View(
        title=EVIL,
        status=status,
        markets=markets,
        problems=texts,
        notices=texts,
        places={"data": EVIL},
        next_steps=texts,
    )


def assert_is_inert(shown: str, *, lines: int | None = None) -> None:
    rows = shown.split("\n")
    assert all(each.isprintable() for each in rows), shown
    assert "forged" in shown and not any(each.startswith("RED") for each in rows)
    assert lines is None or len(rows) == lines


def test_status_on_a_terminal_and_elsewhere_shows_it_and_does_nothing() -> None:
    console, out = a_terminal()
    console.print(panel(an_evil_view(), width=500))
    assert_is_inert(out.getvalue())
    for lines in (plain(an_evil_view()), essence(an_evil_view())):
        assert_is_inert("\n".join(lines), lines=len(lines))


def test_messages_beside_the_panel_are_inert() -> None:
    console, out = a_terminal()
    Display(console).say(EVIL.replace("\n", " "))
    assert_is_inert(out.getvalue(), lines=2)


@pytest.fixture
def evil_dir(tmp_path: Path) -> Path:
    """A directory with a hostile name, and with a follow-up of an unknown signal with a hostile name."""
    path = tmp_path / EVIL.replace("/", "")
    path.mkdir()
    signal = a_signal()
    stranger = a_followup(signal, 1000).model_copy(update={"signal_id": EVIL})
    (path / "signals_2026-11-22.jsonl").write_bytes(signal.line())
    (path / "followups_2026-11-22.jsonl").write_bytes(stranger.line() + b'{"signal_id": "\x1b[2J\x9b"}\n')
    return path


def test_an_audit_names_it_and_does_nothing(evil_dir: Path) -> None:
    console, out = a_terminal()
    show([audit(evil_dir, at_ms=T0_MS)], console)
    assert_is_inert(out.getvalue())


def test_an_audit_in_json_is_ascii(evil_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit_command([evil_dir], as_json=True) == 1
    out = capsys.readouterr().out
    assert out.isascii()
    assert_is_inert(out)
    ids = [problem["id"] for problem in json.loads(out)["directories"][0]["problems"]]
    assert f"{EVIL}|1000" in ids
