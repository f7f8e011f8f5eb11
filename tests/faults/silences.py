"""Rows V4, V6, V13 and V16: contexts, how old they are, and those that are slow, missing or cannot be used."""

import time
from collections import Counter

from tests.faults.deceived import CHECK_MS, DeceivedSystem
from tests.faults.row import Result, Setting
from tests.faults.witnesses import CONTRADICTED_MS, ONE, check, gap

LEARN_S = 50.0
"""The time in which a new pace may cost gaps: three of its pauses."""
STEADY_S = 60.0
AGE_MS, PERIOD_MS = 150, 1_100
"""Allowed difference of an age on a busy machine; an unchanged context goes onto the tape once a second."""
MAX_GIVEN_UP = 2
"""Connections that may be given up until a new pace is learnt."""


def slow_contexts(setting: Setting) -> Result:
    """Contexts every 5.4 s, then every 13.6 s: once the pace is learnt there is no gap, and no connection is lost."""
    result, notes = Result(unwitnessed=0), []
    with DeceivedSystem(setting.folder / "slow", others=4) as system:
        setting.wait(20)
        for fault in ("slow-ctx", "slower-ctx"):
            notes.append(_slow_down(system, setting, fault, result))
        seen = system.seen()
        system.judge(result, when="slow contexts")
        check(result, not seen.problems, seen)
        result.note = "; ".join(notes)
    return result


def _slow_down(system: DeceivedSystem, setting: Setting, fault: str, result: Result) -> str:
    before = _reconnects(system)
    with system.faulty(fault, holds_back=True):
        with system.hole():
            setting.wait(LEARN_S)
        learnt = _reconnects(system)
        setting.wait(STEADY_S)
        again, limit_ms = _reconnects(system) - learnt, _limits_ms(system)["xyz ctx"]
    if again or learnt - before > MAX_GIVEN_UP:
        result.add_broken(f"{fault}: {learnt - before} connections given up, then {again}")
    result.injected += 1
    return f"{fault}: {learnt - before} connections given up until it was learnt; limit {limit_ms / 1000:g} s"


def silent_dex(setting: Setting) -> Result:
    """No context of one dex, which shares a connection with another, or has one of its own."""
    result, notes = Result(), []
    for name, options in (("shared", {}), ("apart", {"subscriptions_per_socket": 12})):
        with DeceivedSystem(setting.folder / name, coins=12, others=6, **options) as system:
            setting.wait(25)
            coins = [coin for coin in system.venue.coins if coin.startswith("para:")]
            limit_ms, before = _limits_ms(system)["para ctx"], _reconnects(system)
            with system.deceived("no-ctx:para", coins=coins, within_ms=limit_ms + CHECK_MS) as period:
                system.wait_until_unknown(coins, within_s=limit_ms / 1000 + 5)
                setting.wait(setting.seconds(50, least=20))
                seen = system.seen()
            given_up = _reconnects(system) - before
            system.judge(result, when=name)
            result.injected += 1
            check(result, "no context" in (seen.why(coins[0]) or ""), seen)
            if name == "shared" and given_up:
                result.add_broken(f"{given_up} connections of other markets were given up")
            notes.append(f"{name}: limit {limit_ms / 1000:g} s, {gap(system, period)}, {given_up} connections given up")
    result.note = "; ".join(notes)
    return result


def refused_contexts(setting: Setting) -> Result:
    """Contexts with numbers where the venue writes text: of one market; then no usable frame of any."""
    result = Result(injected=2)
    with DeceivedSystem(setting.folder / "contexts") as system:
        time.sleep(5)
        with system.deceived(f"bad-ctx:{ONE}", coins=[ONE], within_ms=CONTRADICTED_MS):
            system.wait_until_unknown([ONE], within_s=5)
            setting.wait(10)
            of_one = system.seen()
        time.sleep(5)
        everything = "bad-ctx", "bad-bbo"
        with system.deceived(*everything, coins=system.venue.coins, within_ms=CONTRADICTED_MS) as period:
            system.wait_until_unknown(system.venue.coins, within_s=5)
            setting.wait(12)
            of_all = system.seen()
        time.sleep(5)
        if given_up := _reconnects(system):
            result.add_broken(f"{given_up} connections were given up because of frames that cannot be used")
        system.judge(result, when="refused contexts")
        check(result, "a context that cannot be used" in (of_one.why(ONE) or ""), of_one)
        named = [problem for problem in of_all.problems if "that cannot be used" in problem]
        check(result, len(named) == 1 and "since" in named[0], of_all)
        result.note = f"{gap(system, period)}; status: {'; '.join(of_all.problems)}"
    return result


def zero_marks(setting: Setting) -> Result:
    """A mark price of 0.0: the mark is unknown, and the oracle of that context counts."""
    result = Result(injected=1, unwitnessed=0)
    with DeceivedSystem(setting.folder / "marks") as system:
        time.sleep(5)
        with system.faulty("zero-mark"):
            began_ms = system.now_ms()
            setting.wait(20)
            ended_ms = system.now_ms()
        system.judge(result, when="zero marks")
        signals = [signal for signal in system.signals() if began_ms + 2_000 < signal.timestamp_ms < ended_ms]
        without = sum(signal.mark_px is None for signal in signals)
        if not signals or without < len(signals):
            result.wrong += 1
            result.add_broken(f"{len(signals) - without} of {len(signals)} signals have a mark")
        result.note = f"{without} of {len(signals)} signals of that time have no mark, and all have the oracle"
    return result


def recorded_ages(setting: Setting) -> Result:
    """The ages in signals and follow-ups, compared with the times at which the venue sent its contexts."""
    result = Result(unwitnessed=0)
    with DeceivedSystem(setting.folder / "ages") as system:
        setting.wait(30)
        system.judge(result, when="ages")
        due = [(record, record.due_at_ms) for record in system.followups()]
        records = due + [(signal, signal.timestamp_ms) for signal in system.signals()]
        for record, at_ms in records:
            true_ms = system.venue.ctx_age_ms(record.market_key, at_ms)
            if record.ctx_age_ms is None or not -AGE_MS < record.ctx_age_ms - true_ms < AGE_MS + PERIOD_MS:
                result.wrong += 1
                result.add_broken(f"{record.signal_id}: the context is {record.ctx_age_ms} ms old, not {true_ms:.0f}")
        ages_ms = sorted(record.oracle_age_max_ms or 0 for record, _ in records[len(records) // 2 :])
        triggers = Counter(f"{signal.trigger}" for signal in system.signals())
        if triggers["ctx"] < 0.9 * triggers.total():  # after a cooldown the next book has the signal
            result.add_broken(f"triggers {triggers}, of oracles that moved")
        result.injected = len(records)
        result.note = f"{len(records):,} ages of contexts; the oracle at most {ages_ms[len(ages_ms) // 2]} ms old (p50)"
    return result


def _reconnects(system: DeceivedSystem) -> int:
    status = system.status()
    assert status is not None
    return status.reconnects


def _limits_ms(system: DeceivedSystem) -> dict[str, int]:
    status = system.status()
    assert status is not None
    return status.limits_ms or {}
