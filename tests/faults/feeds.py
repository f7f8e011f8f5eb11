"""Row 16: a feed that is killed, stopped, started twice, or started with other rules."""

import json
import random
import time
from collections.abc import Mapping
from contextlib import suppress

from tests.faults.row import Result, Setting
from tests.faults.signals import MOVE_BPS
from tests.faults.system import System, frozen

KILLS = 9
STOP_S = 5.0
REFUSE_TIMEOUT_S = 20.0
"""A feed waits 7.5 s for a name in use, because its owner may be dead."""
ROUNDS = 6
"""In each the rules change twice: to others, and back."""
RULES_S = 3.0
BURST_S = 0.0, 0.050
OTHER_OFFSETS_MS = 500, 1500, 2500


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


def rules_changed(setting: Setting) -> Result:
    """Other offsets and edge, and half of the markets with a threshold that no move reaches; then as before.

    One change of a round comes by SIGTERM, the other by SIGKILL in a burst, so that the next feed detects what the dead
    one had put on the tape.
    """
    result, chance = Result(), random.Random(16)
    with System(setting.folder / "rules", recorded=True) as system:
        silent = system.venue.coins[::2]
        thresholds = setting.folder / "thresholds.json"
        thresholds.write_text(json.dumps(dict.fromkeys(silent, 2 * MOVE_BPS)))
        other = {
            "HIP3_MIN_EDGE_BPS": "10",
            "HIP3_OFFSETS_MS": ",".join(map(str, OTHER_OFFSETS_MS)),
            "HIP3_THRESHOLDS": str(thresholds),
        }
        for number, _ in enumerate(setting.rounds(ROUNDS, result)):
            result.injected += 1
            burst_s = chance.uniform(*BURST_S)
            first_s, second_s = (burst_s, None) if number % 2 else (None, burst_s)
            with system.hole(*silent):
                result.add_recovery(_start_under(other, system, burst_s=first_s))
                time.sleep(RULES_S)
                result.add_recovery(_start_under({}, system, burst_s=second_s))
            time.sleep(RULES_S)
        system.judge(result, when="rules changed")
        offsets = [signal.offsets_ms for signal in system.signals()]
        result.note = f"{offsets.count(OTHER_OFFSETS_MS)} of {len(offsets)} signals under the other rules"
        if not 0 < offsets.count(OTHER_OFFSETS_MS) < len(offsets):
            result.add_broken("the rules did not change, so this row shows nothing")
    return result


def _start_under(rules: Mapping[str, str], system: System, *, burst_s: float | None) -> float:
    """End the feed, or kill it so long after a burst, and start one under these rules; return how long that took."""
    with system.hole():
        if burst_s is None:
            system.feed.terminate()
            system.feed.wait()
        else:
            system.venue.burst()
            time.sleep(burst_s)
            system.feed.kill()
        system.feed = system.part("feed", *system.feed.command, **rules).start()
        return system.wait_until_live()
