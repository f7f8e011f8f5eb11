"""Rows V1 to V3: books and contexts that cannot be used, contradict each other, or are of another block."""

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tests.faults.deceived import DeceivedSystem, Seen
from tests.faults.deception import Deception
from tests.faults.row import Result, Setting
from tests.faults.system import TapeEntry

CONTRADICTED_MS = 3_000
"""The time within which a gap must begin where a witness contradicts."""
ONE, TWO, THREE, FOUR = (f"xyz:C{number:03}" for number in range(4, 8))
JUMP_PX, DRIFT_PX = 1.0, 0.01
QUIET_S = 60.0
ROUNDS = 3
LAG_WINDOW_S, OLD_MS = 10.0, 400_000
PATCH = "feed.witness.BookCheck.hear_sample = lambda *_: None"
CREDULOUS = "-c", f"import runpy, feed.witness; {PATCH}; runpy.run_module('feed', run_name='__main__')"
"""A feed that does not compare books with contexts."""


def refused_books(setting: Setting) -> Result:
    """A market whose books cannot be read, while its contexts go on; then numbers in exponent form."""
    result = Result(injected=1)
    with DeceivedSystem(setting.folder / "refused", recorded=True) as system:
        time.sleep(5)
        with system.deceived(f"bad-bbo:{ONE}", coins=[ONE], within_ms=CONTRADICTED_MS) as period:
            system.venue.burst()
            system.wait_until_unknown([ONE], within_s=5)
            setting.wait(10)
            seen = system.seen()
        with system.faulty("exponent-bbo"):
            setting.wait(10)
        system.judge(result, when="refused books")
        check(result, "a book that cannot be used" in (seen.why(ONE) or ""), seen)
        result.note = f"{gap(system, period)}; page: {seen.why(ONE)}; control: 1.000200e+02 for 10 s is no gap"
    return result


def frozen_books(setting: Setting) -> Result:
    """Books that stand still while the market moves, at once or slowly, as their contexts show."""
    result, blind = Result(), Result()
    with DeceivedSystem(setting.folder / "books") as system:
        took = [_freeze_books(system, setting) for _ in setting.rounds(ROUNDS, result)]
        time.sleep(5)
        system.judge(result, when="frozen books")
        slowest_s = max(period.slowest_s for period, _ in took)
        for _, seen in took:
            check(result, all("contradicts" in (seen.why(coin) or "") for coin in (ONE, TWO)), seen)
        renewals, why = system.feed.log.count("market_renewed"), took[0][1].why(ONE)
    with DeceivedSystem(setting.folder / "blind", feed_command=CREDULOUS) as system:
        _freeze_books(system, setting)
        system.judge(blind, when="without the comparison")
    if not blind.wrong:
        result.add_broken("a feed that compares nothing had no wrong record")
    result.note = (
        f"gap after {slowest_s:.1f} s; {renewals} renewals; page: {why}; "
        f"control: a feed that compares nothing has {blind.wrong} wrong, and {blind.signals_invented} signals invented"
    )
    return result


def frozen_contexts(setting: Setting) -> Result:
    """Contexts that repeat themselves while their books move."""
    result = Result(injected=1)
    with DeceivedSystem(setting.folder / "contexts") as system:
        time.sleep(5)
        with system.deceived(f"frozen-ctx:{ONE}", coins=[ONE], within_ms=CONTRADICTED_MS) as period:
            time.sleep(1.5)
            system.venue.burst()
            system.venue.jump([ONE], JUMP_PX)
            period.began_ms = system.now_ms()
            system.wait_until_unknown([ONE], within_s=10)
            setting.wait(setting.seconds(40, least=15))
            seen = system.seen()
        time.sleep(10)
        system.judge(result, when="frozen contexts")
        check(result, "contradicts" in (seen.why(ONE) or ""), seen)
        result.note = f"{gap(system, period)}; page: {seen.why(ONE)}"
    return result


def quiet_books(setting: Setting) -> Result:
    """Books without a change for a minute, which their contexts confirm: no gap, and signals on the oracle."""
    result = Result(unwitnessed=0)
    with DeceivedSystem(setting.folder / "quiet") as system:
        time.sleep(5)
        system.venue.still = {ONE, TWO, THREE}
        setting.wait(setting.seconds(QUIET_S, least=20))
        oldest_ms = max((signal.bbo_age_ms for signal in system.signals()), default=0)
        system.venue.still = set()
        system.judge(result, when="quiet books")
        result.note = f"control: a signal on a book {oldest_ms / 1000:.0f} s old"
    return result


def old_blocks(setting: Setting) -> Result:
    """Block times that are seven minutes old from the start; and of one market, from now on."""
    result = Result(injected=2)
    with DeceivedSystem(setting.folder / "old", "old-blocks") as system:
        setting.wait(LAG_WINDOW_S)
        seen = system.seen()
        check(result, any("after their block" in problem for problem in seen.problems), seen)
        shown_ms = seen.status["lag_p50_ms"], seen.page["pipeline"]["lag_p50_ms"], seen.metrics["hip3_lag_p50_seconds"]
        check(result, min(shown_ms[0], shown_ms[1], shown_ms[2] * 1000) > OLD_MS, seen)
        system.end_faults()
        setting.wait(LAG_WINDOW_S + 2)
        lag_ms = system.seen().status["lag_p50_ms"]
        with system.deceived(f"old-blocks:{ONE}", coins=[ONE], within_ms=CONTRADICTED_MS) as period:
            system.wait_until_unknown([ONE], within_s=5)
            setting.wait(10)
            again = system.seen()
        system.judge(result, when="old blocks")
        old = sum((signal.lag_ms or 0) > OLD_MS for signal in system.signals())
        check(result, old > 0, again)
        check(result, "older block" in (again.why(ONE) or ""), again)
        red = next(problem for problem in seen.problems if "after their block" in problem)
        of_one = f"of one market: {gap(system, period)}; page: {again.why(ONE)}"
        result.note = f"status: {red}; {old} signals have that lag; {lag_ms} ms are normal; {of_one}"
    return result


def odd_blocks(setting: Setting) -> Result:
    """Block times a minute ahead; then every fifth book an earlier one: no gap, and no earlier book on the tape."""
    result = Result(unwitnessed=0)
    with DeceivedSystem(setting.folder / "odd") as system:
        setting.wait(LAG_WINDOW_S)
        before = system.seen()
        with system.faulty("future-blocks"):
            setting.wait(LAG_WINDOW_S + 2)
            seen = system.seen()
        with system.faulty("blocks-go-back"):
            setting.wait(20)
        system.judge(result, when="odd blocks")
        check(result, any("this machine's clock" in problem for problem in seen.problems), seen)
        check(result, not before.problems, before)
        result.wrong += (earlier := _steps_back(system.tapes()))
        result.note = f"status: {'; '.join(seen.problems)}; {earlier} earlier books on the tape"
    return result


def _freeze_books(system: DeceivedSystem, setting: Setting) -> tuple[Deception, Seen]:
    """Freeze the books of four markets, of which one drifts and three jump."""
    time.sleep(5)
    coins = [ONE, TWO, THREE, FOUR]
    faults = [f"frozen-bbo:{coin}" for coin in coins]
    with system.deceived(*faults, coins=coins, within_ms=CONTRADICTED_MS) as period:
        time.sleep(0.5)  # until the last book has come
        system.venue.burst()
        system.venue.drift([ONE], DRIFT_PX)
        system.venue.jump(coins[1:], JUMP_PX)
        period.began_ms = system.now_ms()
        setting.wait(20)
        seen = system.seen()
        system.venue.drift([ONE], 0.0)
    return period, seen


def gap(system: DeceivedSystem, period: Deception) -> str:
    return f"gap after {period.slowest_s:.1f} s, known {system.recovery_s:.1f} s after the end"


def check(result: Result, is_as_wanted: bool, seen: Seen) -> None:
    """Count an answer of status or page that does not name the fault."""
    if not is_as_wanted:
        result.unclear += 1
        dark = [f"{row['coin']}: {row['why']}" for row in seen.page["markets"] if row["why"]]
        result.add_broken(f"status said {seen.problems}, the page {dark}")


def _steps_back(tapes: Mapping[str, Sequence[TapeEntry]]) -> int:
    """The number of tape entries whose book is older than that of the entry before."""
    sizes = [[fields[b"s"].split(b",")[1] for _, fields in entries if b"s" in fields] for entries in tapes.values()]
    return sum(float(then) > float(now) for numbers in sizes for then, now in pairwise(numbers))
