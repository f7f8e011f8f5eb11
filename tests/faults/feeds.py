"""Row 16: a feed that is killed, stopped, or not alone."""

import time
from contextlib import suppress

from tests.faults.row import Found, Setting
from tests.faults.system import System, frozen

KILLS = 9
STOP_S = 5.0
REFUSES_WITHIN_S = 20.0
"""A name that is held may be a dead feed's, for 7.5 s."""


def feed_killed(setting: Setting) -> Found:
    """SIGKILL, and a new one on the same directory."""
    found = Found()
    with System(setting.folder / "killed") as system:
        for _ in setting.rounds(KILLS, found, least=2):
            time.sleep(1.0)
            found.took(system.replace_feed())
        system.judge(found, when="feed killed")
        if not found.missed:
            found.blame("no follow-up is missed, though nobody knew the market")
    return found


def feed_stopped(setting: Setting) -> Found:
    """SIGSTOP for five seconds."""
    found = Found(injected=1)
    with System(setting.folder / "stopped") as system:
        with system.hole():
            frozen([system.feed.pid], STOP_S)
        system.recovered(found)
        system.judge(found, when="feed stopped")
    return found


def second_feed(setting: Setting) -> Found:
    """Another one on the same directory, and one elsewhere that takes the same name: each refuses, and says why."""
    found = Found()
    with System(setting.folder / "two") as system:
        for name, more in ("same directory", {}), ("same name", {"HIP3_DATA_DIR": str(setting.folder / "elsewhere")}):
            other = system.part(name.replace(" ", "-"), *system.feed.command, **more)
            other.start()
            found.injected += 1
            with suppress(Exception):
                other.wait(REFUSES_WITHIN_S)
            if other.is_running or not other.log.strip() or "Traceback" in other.log:
                found.unclear += 1
                found.blame(f"a second feed with the {name}: {other.log[-300:] or 'says nothing'}")
        system.judge(found, when="two feeds")
    return found
