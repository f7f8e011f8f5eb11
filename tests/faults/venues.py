"""Row 17: a venue that hangs up, falls silent, expires its sockets, answers late and talks nonsense."""

import random
import time
from collections.abc import Callable
from functools import partial

from tests.faults.row import Found, Setting
from tests.faults.system import System
from tests.support.waiting import eventually

SILENCE_S = 6.0
SEEN_WITHIN_S, BACK_WITHIN_S = 5.0, 5.0
GARBAGE_S = 600.0
ROUNDS = 5
HOSTILE = (
    "",
    "null",
    "[]",
    '{"channel":"bbo"}',
    '{"channel":"bbo","data":{"coin":"xyz:C000","time":"now","bbo":[null,null]}}',
    '{"channel":"bbo","data":{"coin":"xyz:C000","time":1e309,"bbo":[{"px":"NaN","sz":"-1","n":1},null]}}',
    '{"channel":"activeAssetCtx","data":{"coin":"xyz:C000","ctx":{"oraclePx":"1_000","markPx":"\\u0661"}}}',
    '{"channel":"activeAssetCtx","data":{"coin":"xyz:C000","ctx":{"oraclePx":"0","markPx":"inf"}}}',
    '{"channel":"error","data":"Invalid subscription"}',
    "[" * 5_000,
    '{"channel":"' + "x" * 100_000 + '"}',
    "\x00\ufffe not json",
)


def connections_dropped(setting: Setting) -> Found:
    """Every socket aborted."""
    return _again_and_again(setting, "dropped", lambda system: system.venue.server.drop_connections())


def connections_expired(setting: Setting) -> Found:
    """Every socket closed with `Expired`, while acknowledgements take a second."""

    def expire(system: System) -> None:
        system.venue.server.ack_delay_s = 1.0
        system.venue.server.expire_connections()

    return _again_and_again(setting, "expired", expire)


def silence(setting: Setting) -> Found:
    """A stall: every socket stays open, and nothing comes, not even an answer to a ping."""
    found = Found(injected=1)
    with System(setting.folder / "silent") as system:
        with system.hole():
            system.venue.is_heard = False
            system.venue.do(lambda: system.venue.server.stall(True))
            began_s = time.monotonic()
            eventually("the stall is seen", lambda: _markets_live(system) == 0, within_s=SEEN_WITHIN_S)
            seen_s = time.monotonic() - began_s
            time.sleep(max(0.0, SILENCE_S - seen_s))
            system.venue.is_heard = True
            system.venue.do(lambda: system.venue.server.stall(False))
            found.took(system.wait_until_live(within_s=BACK_WITHIN_S))
        system.recovered(found)
        system.judge(found, when="silence")
        found.note = f"seen after {seen_s:.1f} s"
    return found


def garbage(setting: Setting) -> Found:
    """Frames that are no frames, at a hundred a second among the good ones."""
    found, chance = Found(), random.Random(17)
    with System(setting.folder / "garbage") as system:
        for _ in setting.during(setting.seconds(GARBAGE_S, least=5)):
            frame = chance.choice([*HOSTILE, "".join(chr(chance.randrange(32, 0x2FF)) for _ in range(80))])
            system.venue.do(partial(system.venue.server.send_raw, frame))
            found.injected += 1
            time.sleep(0.01)
        system.judge(found, when="garbage")
        if "Traceback" in system.feed.log:
            found.unclear += 1
            found.blame("an exception in the feed's log")
        if reconnects := _reconnects(system):
            found.blame(f"{reconnects} sockets were given up for what came over them")
    return found


def _again_and_again(setting: Setting, what: str, fail: Callable[[System], None]) -> Found:
    found = Found()
    with System(setting.folder / what) as system:
        for _ in setting.rounds(ROUNDS, found, least=2):
            time.sleep(1.5)
            with system.hole():
                before = _reconnects(system)
                system.venue.do(lambda: fail(system))
                eventually("the loss is seen", lambda before=before: _reconnects(system) > before)
                found.took(system.wait_until_live(within_s=BACK_WITHIN_S))
        system.judge(found, when=what)
    return found


def _reconnects(system: System) -> int:
    status = system.status()
    return status.reconnects if status else 0


def _markets_live(system: System) -> int:
    status = system.status()
    return status.markets_live if status else 0
