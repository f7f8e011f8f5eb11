"""Rows 20 and 21: wall clocks that jump, and midnight between a signal and its captures.

The processes use the wall clock of libfaketime; the monotonic clock does not jump, as when a real clock is set.
"""

import importlib.util
import time
from datetime import UTC, datetime
from pathlib import Path

from hip3_tasks.recording.service import UPKEEP_INTERVAL_S
from hip3_tasks.tape.pieces import day_path
from tests.faults.lines import KINDS
from tests.faults.row import Result, Setting
from tests.faults.system import System
from tests.support.waiting import eventually

JUMPS_S = 3600, 0, -3600, 0, 2, 0, -2, 0
JUMP_INTERVAL_S = 4.0
OVERDUE_S = 5.0
"""The sweeper takes a capture that a jump has delayed, 2 s after its due time."""
SLEW_MS = 500
"""Allowed difference between the feed's clock and the true time; the feed's clock follows by at most one percent."""
BEFORE_MIDNIGHT_S = 15.0
MERGE_TIMEOUT_S = 2 * UPKEEP_INTERVAL_S
DAY_S = 86_400


class Clock:
    """A wall clock for processes, which a test can set."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)
        spec = importlib.util.find_spec("libfaketime")
        assert spec is not None and spec.origin is not None, "libfaketime is not installed"
        library = Path(spec.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead_s: float) -> None:
        """Set the clock ahead of the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:+.3f}")
        new.replace(self._file)


def workers_clock(setting: Setting) -> Result:
    """Jumps of the worker's clock by an hour and by two seconds, forward and back."""
    return _jumps(setting, "worker")


def feeds_clock(setting: Setting) -> Result:
    """The same jumps of the feed's clock."""
    return _jumps(setting, "feed")


def _jumps(setting: Setting, whose: str) -> Result:
    result, clock = Result(), Clock(setting.folder / "clock")
    with System(setting.folder / whose, environments={whose: clock.environment}) as system:
        system.venue.clock_ms = SLEW_MS
        for done, ahead_s in enumerate(JUMPS_S):
            clock.set(ahead_s)
            result.injected += 1
            until_s = time.monotonic() + JUMP_INTERVAL_S
            while time.monotonic() < until_s:
                time.sleep(0.1)
                if (overdue_s := system.oldest_due_s()) > OVERDUE_S:
                    result.add_broken(f"{ahead_s:+} s: a capture is {overdue_s:.1f} s overdue")
            if whose == "feed" and abs(ahead_s) >= 2:
                _expect_red(system, result, ahead_s)
            setting.advance(done + 1, len(JUMPS_S))
        system.judge(result, when=f"clock of the {whose}")
        if whose == "worker" and (result.lateness_s or 0.0) < max(JUMPS_S) / 2:
            result.add_broken("no capture was stamped by the clock that jumped, so this row shows nothing")
    result.lateness_s = None  # measured by a wrong clock
    return result


def _expect_red(system: System, result: Result, ahead_s: int) -> None:
    status = system.status()
    if status is None or not any("clock" in problem for problem in status.problems):
        result.unclear += 1
        result.add_broken(f"{ahead_s:+} s: health does not name the clock: {status and status.problems}")


def midnight(setting: Setting) -> Result:
    """Midnight UTC comes between signals and their captures; each line is in the day of its signal.

    The tape of the day that is over becomes one piece meanwhile.
    """
    result, clock = Result(injected=1), Clock(setting.folder / "clock")
    now_s = time.time()
    ahead_s = (DAY_S - now_s % DAY_S) - BEFORE_MIDNIGHT_S
    clock.set(ahead_s)
    began_ms = int((now_s + ahead_s) * 1000)
    environments = dict.fromkeys(("feed", "worker", "recorder"), clock.environment)
    ahead_ms = int(ahead_s * 1000)
    with System(setting.folder / "midnight", environments=environments, ahead_ms=ahead_ms, recorded=True) as system:
        eventually("a new day has signals", lambda: len(list(system.data_dir.glob("followups_*.jsonl"))) == 2)
        eventually("the day before is one piece", day_path(system.data_dir, began_ms).exists, within_s=MERGE_TIMEOUT_S)
        system.judge(result, when="midnight")
        for path in (path for kind in ("signals", *KINDS) for path in system.data_dir.glob(f"{kind}_*.jsonl")):
            day = path.stem.rpartition("_")[2]
            for line in path.read_text().splitlines():
                stamp = line.partition('"timestamp_ms":' if "signals" in path.name else '"signal_timestamp_ms":')[2]
                at_s = int(stamp.partition(",")[0]) / 1000
                if f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}" != day:
                    result.wrong += 1
                    result.add_broken(f"{path.name} has {line[:80]}")
    return result
