"""Row 18: values that no venue should send, and values that are odd and legal."""

import random
import re
import sys
import time
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from itertools import cycle

from hip3_tasks.domain.records import Followup, Missed, MissedReason
from tests.faults.row import Found, Setting
from tests.faults.system import System
from tests.support.frame_pipeline import ODD_NUMBERS, bbo_frame, ctx_frame, impossible_frames, level, wrong_in
from tests.support.process import ProcessUnderTest

INPUTS = 1_000_000
SECONDS = 60.0
EVERY_S = 0.01
HOUR_MS = 3_600_000


class OddCoin(System):
    """A system with one market whose states are not the venue's, but this row's: they carry no number."""

    coin = ""

    def _judge_truth(self, followups: Sequence[Followup], missed: Sequence[Missed], found: Found, when: str) -> None:
        known = [one for one in followups if one.market_key != self.coin]
        unfit = MissedReason.NO_QUOTE, MissedReason.NO_ORACLE
        uncalled = [one for one in missed if one.market_key != self.coin or one.reason not in unfit]
        super()._judge_truth(known, uncalled, found, when)


def fuzzed_frames(setting: Setting) -> Found:
    """Inputs made by a fuzzer that sees which branches each of them takes."""
    found, inputs = Found(), setting.share(INPUTS)
    if find_spec("atheris") is None:
        found.note = "not tried: no atheris"
        return found
    command = (sys.executable, "-m", "tests.faults.fuzzer", setting.folder, str(inputs))
    log, tried = setting.folder / "fuzzer.log", setting.folder / "fuzzer.tried"
    with ProcessUnderTest(*command, log=log, stdout=tried) as fuzzer:
        while fuzzer.is_running:
            time.sleep(0.2)
            setting.advance(int((fuzzer.stdout.split() or ["0"])[-1]), inputs)
        told, exit_code = fuzzer.log, fuzzer.wait()
    found.injected = _last("number_of_executed_units: +([0-9]+)", told)
    for kind in ("crash", "timeout", "oom"):
        for path in setting.folder.glob(f"{kind}-*"):
            found.unclear += 1
            found.blame(f"{kind} after {found.injected:,} inputs: {path.read_bytes()!r}")
    if exit_code or found.injected < inputs:
        found.blame(f"exit code {exit_code} after {found.injected:,} of {inputs:,} inputs")
    branches, kept = _last("cov: ([0-9]+)", told), _last("corp: ([0-9]+)", told)
    found.note = f"{branches} branches taken, {kept} inputs kept for how they take them"
    return found


def _last(pattern: str, text: str) -> int:
    return int((re.findall(pattern, text) or ["0"])[-1])


def hostile_values(setting: Setting) -> Found:
    """Impossible values for markets that go on, odd ones for a market that has nothing else, in every number."""
    found, chance = Found(), random.Random(18)
    with OddCoin(setting.folder / "values") as system:
        coin = system.coin = system.venue.do(system.venue.coins.pop)
        hostile, refused = cycle(impossible_frames(coin=system.venue.coins[0])), 0
        for _ in setting.during(setting.seconds(SECONDS, least=5)):
            for frame in (next(hostile), _odd_ctx(coin, chance), _odd_bbo(coin, system.now_ms(), chance)):
                system.venue.do(partial(system.venue.server.send_raw, frame))
                found.injected += 1
            refused += 1
            time.sleep(EVERY_S)
        system.judge(found, when="hostile values")
        if taken := refused - _refusals(system):
            found.wrong += taken
            found.blame(f"{taken} of {refused} impossible frames were not refused")
        _judge_lines(system, found)
        if any("Traceback" in part.log for part in (system.feed, *system.workers)):
            found.unclear += 1
            found.blame("an exception in a log")
    return found


def _judge_lines(system: OddCoin, found: Found) -> None:
    """No line of any file has a number that is none."""
    lines = [line for path in system.data_dir.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    for line in lines:
        if wrong := wrong_in(line):
            found.wrong += 1
            found.blame(f"{wrong} in {line!r}")
    odd = sum(system.coin.encode() in line for line in lines)
    found.note = f"{len(lines):,} lines, {odd:,} of the odd market"
    if not odd:
        found.blame("the odd market made no signal")


def _refusals(system: System) -> int:
    status = system.status()
    return sum(status.frames.get(kind, 0) for kind in ("not_json", "bad_bbo", "bad_activeAssetCtx")) if status else 0


def _odd_bbo(coin: str, now_ms: int, chance: random.Random) -> str:
    """A book of any shape: none, one side or both, crossed or not, of any block time."""
    sides = [_or_null(level(_odd(chance), _odd(chance)), chance) for _ in range(chance.choice([0, 1, 2, 2, 2, 2]))]
    time_ms = chance.choice([now_ms, now_ms, now_ms - HOUR_MS, now_ms + HOUR_MS, 1])
    return bbo_frame(*sides, time_ms=f"{time_ms}", coin=coin)


def _odd_ctx(coin: str, chance: random.Random) -> str:
    return ctx_frame(_or_null(_odd(chance), chance), _or_null(_odd(chance), chance), coin=coin)


def _odd(chance: random.Random) -> str:
    return chance.choice(ODD_NUMBERS)


def _or_null(text: str, chance: random.Random) -> str:
    return "null" if chance.random() < 0.1 else text
