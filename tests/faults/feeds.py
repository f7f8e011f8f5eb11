"""Row 16: a feed that is killed, stopped, or started twice."""

import time
from contextlib import suppress

from tests.faults.row import Result, Setting
from tests.faults.system import System, frozen

KILLS = 9
STOP_S = 5.0
REFUSE_TIMEOUT_S = 20.0
"""A feed waits 7.5 s for a name in use, because its owner may be dead."""


def feed_killed(setting: Setting) -> Result:
    """SIGKILL, then a new feed on the same directory."""
    result = Result()
    with System(setting.folder / "killed", recorded=True) as system:
        for _ in setting.rounds(KILLS, result, least=2):
            time.sleep(1.0)
            result.add_recovery(system.replace_feed())
        system.judge(result, when="feed killed")
        if not result.missed:
            result.add_broken("no follow-up is missed, though the market was unknown")
    return result


def feed_stopped(setting: Setting) -> Result:
    """SIGSTOP for five seconds."""
    result = Result(injected=1)
    with System(setting.folder / "stopped") as system:
        with system.hole():
            frozen([system.feed.pid], STOP_S)
        system.recovered(result)
        system.judge(result, when="feed stopped")
    return result


def second_feed(setting: Setting) -> Result:
    """A second feed on the same directory, and a feed elsewhere with the same name: each refuses, with a reason."""
    result = Result()
    with System(setting.folder / "two") as system:
        for name, more in ("same directory", {}), ("same name", {"HIP3_DATA_DIR": str(setting.folder / "elsewhere")}):
            other = system.part(name.replace(" ", "-"), *system.feed.command, **more)
            other.start()
            result.injected += 1
            with suppress(Exception):
                other.wait(REFUSE_TIMEOUT_S)
            if other.is_running or not other.log.strip() or "Traceback" in other.log:
                result.unclear += 1
                result.add_broken(f"a second feed with the {name}: {other.log[-300:] or 'no output'}")
        system.judge(result, when="two feeds")
    return result
