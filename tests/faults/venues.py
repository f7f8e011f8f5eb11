"""Row 17: a venue that closes its sockets, falls silent, expires sockets, answers late and sends invalid frames."""

import random
import time
from collections.abc import Callable
from functools import partial

from tests.faults.row import Result, Setting
from tests.faults.system import System
from tests.support.waiting import eventually

SILENCE_S = 6.0
DETECT_TIMEOUT_S, RECOVERY_TIMEOUT_S = 5.0, 5.0
GARBAGE_S = 600.0
ROUNDS = 5
NAMED = "xyz:C000"
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


def connections_dropped(setting: Setting) -> Result:
    """Abort every socket."""
    return _again_and_again(setting, "dropped", lambda system: system.venue.server.drop_connections())


def connections_expired(setting: Setting) -> Result:
    """Close every socket with `Expired`, while acknowledgements take a second."""

    def expire(system: System) -> None:
        system.venue.server.ack_delay_s = 1.0
        system.venue.server.expire_connections()

    return _again_and_again(setting, "expired", expire)


def silence(setting: Setting) -> Result:
    """A stall: every socket stays open, but sends nothing, not even an answer to a ping."""
    result = Result(injected=1)
    with System(setting.folder / "silent") as system:
        with system.hole():
            system.venue.is_received = False
            system.venue.do(lambda: system.venue.server.stall(True))
            began_s = time.monotonic()
            eventually("the stall is seen", lambda: _markets_live(system) == 0, within_s=DETECT_TIMEOUT_S)
            seen_s = time.monotonic() - began_s
            time.sleep(max(0.0, SILENCE_S - seen_s))
            system.venue.is_received = True
            system.venue.do(lambda: system.venue.server.stall(False))
            result.add_recovery(system.wait_until_live(within_s=RECOVERY_TIMEOUT_S))
        system.recovered(result)
        system.judge(result, when="silence")
        result.note = f"seen after {seen_s:.1f} s"
    return result


def garbage(setting: Setting) -> Result:
    """Invalid frames among the valid ones, a hundred per second; the coin that some of them name is unknown then."""
    result, chance = Result(), random.Random(17)
    with System(setting.folder / "garbage") as system:
        with system.hole(NAMED):
            for _ in setting.during(setting.seconds(GARBAGE_S, least=5)):
                frame = chance.choice([*HOSTILE, "".join(chr(chance.randrange(32, 0x2FF)) for _ in range(80))])
                system.venue.do(partial(system.venue.server.send_raw, frame))
                result.injected += 1
                time.sleep(0.01)
        system.judge(result, when="garbage")
        if "Traceback" in system.feed.log:
            result.unclear += 1
            result.add_broken("an exception in the feed's log")
        if reconnects := _reconnects(system):
            result.add_broken(f"{reconnects} sockets were closed because of invalid frames")
    return result


def _again_and_again(setting: Setting, what: str, fail: Callable[[System], None]) -> Result:
    result = Result()
    with System(setting.folder / what) as system:
        for _ in setting.rounds(ROUNDS, result, least=2):
            time.sleep(1.5)
            with system.hole():
                before = _reconnects(system)
                system.venue.do(lambda: fail(system))
                eventually("the loss is seen", lambda before=before: _reconnects(system) > before)
                result.add_recovery(system.wait_until_live(within_s=RECOVERY_TIMEOUT_S))
        system.judge(result, when=what)
    return result


def _reconnects(system: System) -> int:
    status = system.status()
    return status.reconnects if status else 0


def _markets_live(system: System) -> int:
    status = system.status()
    return status.markets_live if status else 0
