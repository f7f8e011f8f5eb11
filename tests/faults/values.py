"""Row 18: values that no venue should send, and values that are unusual but valid."""

import random
import re
import sys
import time
from functools import partial
from importlib.util import find_spec
from itertools import cycle

from hip3_tasks.domain.records import MissedReason
from tests.faults.row import Result, Setting
from tests.faults.system import Outcomes, System
from tests.support.frame_pipeline import ODD_NUMBERS, bbo_frame, ctx_frame, impossible_frames, level, wrong_in
from tests.support.process import ProcessUnderTest

INPUTS = 1_000_000
SECONDS = 60.0
FRAME_INTERVAL_S = 0.01
HOUR_MS = 3_600_000


class OddCoin(System):
    """A system with one market whose states come from this row, not from the venue; they carry no number."""

    coin = ""

    def _judge_truth(self, outcomes: Outcomes, result: Result, when: str) -> None:
        known = [record for record in outcomes.followups if record.market_key != self.coin]
        unfit = MissedReason.NO_QUOTE, MissedReason.NO_ORACLE, MissedReason.FEED_GAP
        unexpected = [
            record for record in outcomes.missed if record.market_key != self.coin or record.reason not in unfit
        ]
        super()._judge_truth(outcomes._replace(followups=known, missed=unexpected), result, when)


def fuzzed_frames(setting: Setting) -> Result:
    """Inputs of a fuzzer that observes which branches each input takes."""
    result, inputs = Result(), setting.share(INPUTS)
    if find_spec("atheris") is None:
        result.note = "not tried: no atheris"
        return result
    command = (sys.executable, "-m", "tests.faults.fuzzer", setting.folder, str(inputs))
    log, tried = setting.folder / "fuzzer.log", setting.folder / "fuzzer.tried"
    with ProcessUnderTest(*command, log=log, stdout=tried) as fuzzer:
        while fuzzer.is_running:
            time.sleep(0.2)
            setting.advance(int((fuzzer.stdout.split() or ["0"])[-1]), inputs)
        output, exit_code = fuzzer.log, fuzzer.wait()
    result.injected = _last("number_of_executed_units: +([0-9]+)", output)
    for kind in ("crash", "timeout", "oom"):
        for path in setting.folder.glob(f"{kind}-*"):
            result.unclear += 1
            result.add_broken(f"{kind} after {result.injected:,} inputs: {path.read_bytes()!r}")
    if exit_code or result.injected < inputs:
        result.add_broken(f"exit code {exit_code} after {result.injected:,} of {inputs:,} inputs")
    branches, kept = _last("cov: ([0-9]+)", output), _last("corp: ([0-9]+)", output)
    result.note = f"{branches} branches taken, {kept} inputs kept for new branches"
    return result


def _last(pattern: str, text: str) -> int:
    return int((re.findall(pattern, text) or ["0"])[-1])


def hostile_values(setting: Setting) -> Result:
    """Impossible values for normal markets, and unusual values for a market without others, in every number."""
    result, chance = Result(), random.Random(18)
    with OddCoin(setting.folder / "values") as system:
        coin = system.coin = system.venue.do(system.venue.coins.pop)
        normal, refused = system.venue.coins[0], 0
        hostile = cycle(impossible_frames(coin=normal))
        with system.hole(normal):
            for _ in setting.during(setting.seconds(SECONDS, least=5)):
                for frame in (next(hostile), _odd_ctx(coin, chance), _odd_bbo(coin, system.now_ms(), chance)):
                    system.venue.do(partial(system.venue.server.send_raw, frame))
                    result.injected += 1
                refused += 1
                time.sleep(FRAME_INTERVAL_S)
        system.judge(result, when="hostile values")
        if taken := refused - _refusals(system):
            result.wrong += taken
            result.add_broken(f"{taken} of {refused} impossible frames were not refused")
        _judge_lines(system, result)
        if any("Traceback" in part.log for part in (system.feed, *system.workers)):
            result.unclear += 1
            result.add_broken("an exception in a log")
    return result


def _judge_lines(system: OddCoin, result: Result) -> None:
    """Check that every number of every line of the data files is valid."""
    lines = [line for path in system.data_dir.glob("*_*.jsonl") for line in path.read_bytes().splitlines()]
    for line in lines:
        if wrong := wrong_in(line):
            result.wrong += 1
            result.add_broken(f"{wrong} in {line!r}")
    odd = sum(system.coin.encode() in line for line in lines)
    result.note = f"{len(lines):,} lines, {odd:,} of the odd market"
    if not odd:
        result.add_broken("the odd market made no signal")


def _refusals(system: System) -> int:
    status = system.status()
    return sum(status.frames.get(kind, 0) for kind in ("not_json", "bad_bbo", "bad_activeAssetCtx")) if status else 0


def _odd_bbo(coin: str, now_ms: int, chance: random.Random) -> str:
    """A book of any shape: no side, one side or both, crossed or not, with any block time."""
    sides = [_or_null(level(_odd(chance), _odd(chance)), chance) for _ in range(chance.choice([0, 1, 2, 2, 2, 2]))]
    time_ms = chance.choice([now_ms, now_ms, now_ms - HOUR_MS, now_ms + HOUR_MS, 1])
    return bbo_frame(*sides, time_ms=f"{time_ms}", coin=coin)


def _odd_ctx(coin: str, chance: random.Random) -> str:
    return ctx_frame(_or_null(_odd(chance), chance), _or_null(_odd(chance), chance), coin=coin)


def _odd(chance: random.Random) -> str:
    return chance.choice(ODD_NUMBERS)


def _or_null(text: str, chance: random.Random) -> str:
    return "null" if chance.random() < 0.1 else text
