"""Rows V5, V10, V11 and V15: markets that the venue does not send, and frames that are noise."""

import time
from collections.abc import Sequence

from tests.faults.deceived import DeceivedSystem, Seen
from tests.faults.row import Result, Setting
from tests.faults.witnesses import ONE, TWO, check
from tests.support.waiting import eventually

UNANSWERED_S = 20.0
LISTED_S = 20.0
"""The time for which a coin is listed, and the websocket does not know it."""
RETRY_TIMEOUT_S = 75.0
ERRORS_S = 10.0
MAX_LOGGED = 12
"""Error frames that may be logged within a minute, or two halves of one."""


def unanswered(setting: Setting) -> Result:
    """A subscription that is not answered, and one that is refused, until the venue thinks better of it."""
    result = Result(injected=2, unwitnessed=0)
    faults = f"no-ack:{ONE}", f"refused-subscription:{TWO}"
    with DeceivedSystem(setting.folder / "unanswered", *faults, dark=(ONE, TWO)) as system:
        with system.hole(ONE, TWO):
            setting.wait(UNANSWERED_S)
            seen = system.seen()
            system.end_faults()
            result.add_recovery(_wait_for_all(system))
        setting.wait(5)
        lost = _reconnects(system)
        system.judge(result, when="unanswered")
        check(result, "not answered" in _dark(seen, ONE) and "refused" in _dark(seen, TWO), seen)
        check(result, _is_named_in_file(system, ONE) and _is_named_in_file(system, TWO), seen)
        if lost:
            result.add_broken(f"{lost} connections were lost")
        result.note = f"status: {_dark(seen, ONE)}; {_dark(seen, TWO)}"
    return result


def new_listing(setting: Setting) -> Result:
    """A coin that is listed 20 s before the websocket knows it: subscribing it closes a connection."""
    result = Result(injected=1, unwitnessed=0)
    with DeceivedSystem(setting.folder / "listing", f"not-listed:{ONE}", dark=(ONE,), universe_refresh_s=4) as system:
        with system.hole(ONE):
            with system.faulty(f"late-coin:{ONE}"):
                system.end_faults()
                eventually("the new listing is named", lambda: ONE in system.dark_coins(), within_s=30)
                setting.wait(LISTED_S)
                seen = system.seen()
            result.add_recovery(_wait_for_all(system))
        setting.wait(5)
        lost = _reconnects(system)
        system.judge(result, when="new listing")
        check(result, bool(_dark(seen, ONE)), seen)
        if lost:
            result.add_broken(f"{lost} connections of other markets were lost")
        result.note = f"status: {_dark(seen, ONE)}; other markets lost no connection"
    return result


def no_first_book(setting: Setting) -> Result:
    """A quiet book of which no first frame comes: it is asked for at the info endpoint."""
    result = Result(injected=1, unwitnessed=0)
    with DeceivedSystem(setting.folder / "first", f"no-first-bbo:{ONE}", still=(ONE,)) as system:
        setting.wait(25)
        requests = system.venue.do(lambda: system.venue.server.info_requests["l2Book"])
        system.judge(result, when="no first book")
        if not any(signal.market_key == ONE for signal in system.signals()):
            result.add_broken(f"no signal of {ONE}")
        result.note = f"known {system.live_after_s:.1f} s after the feed's start, by {requests} l2Book requests"
    return result


def error_frames(setting: Setting) -> Result:
    """200 error frames a second: few are logged, all are counted, and nothing else changes."""
    result = Result(unwitnessed=0)
    with DeceivedSystem(setting.folder / "errors") as system:
        time.sleep(5)
        with system.faulty("error-frames"):
            setting.wait(ERRORS_S)
            seen = system.seen()
        time.sleep(2)
        system.judge(result, when="error frames")
        status = system.status()
        assert status is not None
        result.injected = status.frames.get("error", 0)
        logged = system.feed.log.count('"venue_error"')
        check(result, result.injected > 100 * ERRORS_S, seen)
        if logged > MAX_LOGGED:
            result.add_broken(f"{logged} error frames were logged")
        result.note = f"control: {logged} of {result.injected:,} error frames logged"
    return result


def _wait_for_all(system: DeceivedSystem) -> float:
    """Wait until no market is dark any more; return the seconds that this took."""
    system.dark = frozenset()
    return system.wait_until_live(within_s=RETRY_TIMEOUT_S)


def _dark(seen: Seen, coin: str) -> str:
    """The cause that `hip3 status --json` gives for a dark market."""
    causes: Sequence[str] = [market["cause"] for market in seen.status["dark"] or () if market["coin"] == coin]
    return "; ".join(causes)


def _is_named_in_file(system: DeceivedSystem, coin: str) -> bool:
    return any(coin in {market.coin for market in line.dark or ()} for line in system.watched())


def _reconnects(system: DeceivedSystem) -> int:
    status = system.status()
    assert status is not None
    return status.reconnects
