"""The example bot goes on where it was killed, on files that no server is needed for."""

import sys
from pathlib import Path

from hip3_tasks.testing import play
from tests.support.factories import DAY, a_followup, a_missed, a_signal
from tests.support.process import ROOT, ProcessUnderTest
from tests.support.waiting import eventually

SIGNAL = a_signal()


def test_the_example_bot_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    command = sys.executable, ROOT / "examples" / "bot.py", data_dir, tmp_path / "cursor"
    bot = ProcessUnderTest(*command, log=tmp_path / "err", stdout=tmp_path / "out")
    with bot:
        eventually("the bot has a cursor", (tmp_path / "cursor").exists)
        play(data_dir, [SIGNAL])
        eventually("the bot prints the signal", lambda: bot.stdout.count("\n") == 1)
        cursor = (tmp_path / "cursor").read_text
        eventually("its cursor is past the signal", lambda: f"signals_{DAY}" in cursor())
    play(data_dir, [a_followup(SIGNAL, 1000), a_missed(SIGNAL, 3000)])
    with bot:
        eventually("the bot goes on", lambda: bot.stdout.count("\n") == 3)
    assert bot.stdout.splitlines() == [
        f"{SIGNAL.signal_id} buy at 249.5, +10.0 bps net",
        f"{SIGNAL.signal_id} +1000 ms: the edge is +10.0 bps",
        f"{SIGNAL.signal_id} +3000 ms: feed_gap",
    ]
    assert bot.log == ""
