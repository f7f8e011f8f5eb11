"""Rows V7, V8, V9 and V14: an info endpoint that is slow, broken, empty or odd."""

import time

from tests.faults.deceived import DeceivedSystem
from tests.faults.row import Result, Setting
from tests.faults.witnesses import FOUR, ONE, THREE, TWO, check
from tests.support.waiting import eventually

LIMITED_S = 6.0
"""Less than the first pause after an answer of 429, which is 10 s."""
LIVE_S = 5.0
"""The time within which a dex must be live that nothing is wrong with."""
BROKEN_DEXES = "dex-down", "dex-html", "dex-null"
ODD_FEES = f"odd-fee:{ONE}", f"number-fee:{TWO}", f"no-fee:{THREE}", f"renamed-fee:{FOUR}"


def many_dexes(setting: Setting) -> Result:
    """Two hundred dexes more, and no answer but 429 for the first seconds."""
    result = Result(injected=2, unwitnessed=0)
    faults = "many-dexes", f"rate-limit@0-{LIMITED_S}"
    with DeceivedSystem(setting.folder / "dexes", *faults) as system:
        setting.wait(10)
        requests = system.venue.do(lambda: sum(system.venue.server.info_requests.values()))
        system.judge(result, when="many dexes")
        result.add_recovery(max(0.0, system.live_after_s - LIMITED_S))
        result.note = f"live {system.live_after_s:.1f} s after the feed's start, by {requests} info requests"
    return result


def broken_dexes(setting: Setting) -> Result:
    """One dex whose list is answered by 500, by a page or by null when the feed starts: the other one is live."""
    result, notes = Result(unwitnessed=0), []
    for fault in BROKEN_DEXES:
        others = [f"para:P{number:03}" for number in range(4)]
        options = {"others": 4, "dark": others}
        with DeceivedSystem(setting.folder / fault, f"{fault}:para", **options) as system:
            with system.hole(*others):
                setting.wait(4)
                seen = system.seen()
                system.end_faults()
                system.dark = frozenset()
                result.add_recovery(system.wait_until_live(within_s=60))
            setting.wait(5)
            system.judge(result, when=fault)
            texts = [*seen.problems, *seen.page["notices"]]
            named = [text for text in texts if "para" in text]
            check(result, bool(named), seen)
            if system.live_after_s > LIVE_S:
                result.add_broken(f"{fault}: the other dex was live after {system.live_after_s:.1f} s")
            notes.append(f"{fault}: the other dex live after {system.live_after_s:.1f} s; {'; '.join(named)}")
            result.injected += 1
    result.note = "; ".join(notes)
    return result


def empty_list(setting: Setting) -> Result:
    """One reading that lists no market of a dex: nothing is dropped."""
    result = Result(injected=1, unwitnessed=0)
    with DeceivedSystem(setting.folder / "empty", others=4, universe_refresh_s=5) as system:
        time.sleep(3)
        before = _requests(system)
        with system.faulty("empty-universe:xyz"):
            eventually("the list is read", lambda: _requests(system) > before, interval_s=0.002)
        setting.wait(12)
        system.judge(result, when="empty list")
        result.note = f"{system.feed.log.count('market_dropped')} markets dropped"
    return result


def odd_fees(setting: Setting) -> Result:
    """Fee scales that are no number, no text, missing, or under another name: each market is followed."""
    result = Result(injected=len(ODD_FEES), unwitnessed=0)
    with DeceivedSystem(setting.folder / "fees", *ODD_FEES) as system:
        setting.wait(15)
        seen = system.seen()
        system.judge(result, when="odd fees")
        notices = [text for text in seen.page["notices"] if "fee" in text]
        check(result, bool(notices), seen)
        fees_bps = {row["coin"]: row["taker_fee_bps"] for row in seen.page["markets"]}
        result.note = (
            f"fees {[fees_bps[fault.partition(':')[2]] for fault in ODD_FEES]} bps; page: {'; '.join(notices)}"
        )
    return result


def _requests(system: DeceivedSystem) -> int:
    requests = system.venue.server.info_requests
    return system.venue.do(lambda: requests["allPerpMetas"] + requests["meta"])
