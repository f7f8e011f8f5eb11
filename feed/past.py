"""The take-over of a feed that starts from the one before: its name, its tape, and the signals it had not written."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import redis
import structlog

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import Entry
from hip3_tasks.domain.records import RulesInForce, Signal
from hip3_tasks.errors import Fenced
from hip3_tasks.files.rules_log import rules_at, rules_of
from hip3_tasks.files.signal_files import SignalWriter, signals_since
from hip3_tasks.store.tape_writer import LEASE_MS, Marks, TapeEnd, TapeWriter

log = structlog.get_logger()

RETRY_INTERVAL_S = 0.5
MAX_RESUMED = 100_000
BY_TIME = attrgetter("timestamp_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The state of a feed's name, tape and signals file before it starts."""

    watermark_ms: int
    tape_ends: dict[str, TapeEnd]
    detector: Detector
    """Has observed the whole tape, and every signal on file."""
    last_signals: Mapping[str, Signal]
    signals_not_on_file: Sequence[Signal] = ()
    """The signals that stand on the tape and did not reach the file before the feed died; oldest first."""

    @property
    def last_ms(self) -> int:
        """The last instant that a feed put down, on the tape or, if that was lost, in the file; 0 without one."""
        ends = (end.at_ms for end in self.tape_ends.values())
        return max([self.watermark_ms, *ends, *(signal.timestamp_ms for signal in self.last_signals.values())])


@dataclass(frozen=True, slots=True)
class TapeFound:
    """The tape as a feed finds it: its marks, the end of each tape, and the entries between D and the watermark."""

    marks: Marks
    ends: dict[str, TapeEnd]
    undetected: dict[str, list[Entry]]


async def take_tape(writer: TapeWriter, *, wall_ms: Callable[[], int] = wall_ms) -> TapeFound:
    """Wait for Redis, take over the name, and read the end of the tape. Raises Fenced."""
    loop = asyncio.get_running_loop()
    expires_at_s = loop.time() + 1.5 * LEASE_MS / 1000
    while True:
        try:
            marks = await writer.take(at_ms=wall_ms())
            coins = sorted(await writer.coins())
            return TapeFound(marks, await writer.ends(coins), await _undetected(writer, marks, coins))
        except Fenced:
            if loop.time() > expires_at_s:
                raise
        except redis.RedisError as error:
            log.error("redis_away", outage=error)
            expires_at_s = loop.time() + 1.5 * LEASE_MS / 1000
        await asyncio.sleep(RETRY_INTERVAL_S)


async def _undetected(writer: TapeWriter, marks: Marks, coins: Sequence[str]) -> dict[str, list[Entry]]:
    """The entries after D; a tape of version 0.1.0 has no D, and nothing to detect."""
    if marks.watermark_ms is None or marks.detected_ms is None or marks.detected_ms >= marks.watermark_ms:
        return {}
    after_ms, up_to_ms = marks.detected_ms, marks.watermark_ms
    return {coin: await writer.entries(coin, after_ms=after_ms, up_to_ms=up_to_ms) for coin in coins}


def signals_on_file(data_dir: Path, *, at_ms: int) -> list[Signal]:
    """The signals of the day before `at_ms`, in the file's order, durable on return. Raises JournalError if not."""
    if refused := SignalWriter(data_dir).repair_tails():
        log.warning("signals_not_repaired", error=str(refused))
    return signals_since(data_dir, at_ms - DAY_MS, until_ms=at_ms, limit=MAX_RESUMED)


def resume(
    detector: Detector, tape: TapeFound, on_file: Sequence[Signal], *, noted: Sequence[RulesInForce] = ()
) -> Past:
    """Detect again what the feed before did not bring to its file; `on_file` has its signals, oldest first.

    The entries have the stamps and conditions of then, and `noted` the rules, so they make the same signals with the
    same ids.
    """
    own_rules = detector.rules
    rules = [(line.from_ms, rules_of(line)) for line in noted] or [(0, own_rules)]
    of_coin: dict[str, list[Signal]] = {}
    for signal in sorted(on_file, key=BY_TIME):
        of_coin.setdefault(signal.market_key, []).append(signal)
    absent = [
        signal
        for coin, entries in tape.undetected.items()
        for signal in _detected_again(detector, coin, entries, of_coin.get(coin, []), rules)
    ]
    detector.rules = own_rules
    absent.sort(key=BY_TIME)
    detector.resume(on_file)
    if absent:
        log.warning("signals_detected_again", signals=len(absent))
    return Past(
        watermark_ms=tape.marks.watermark_ms or 0,
        tape_ends=tape.ends,
        detector=detector,
        last_signals={coin: signals[-1] for coin, signals in of_coin.items()}
        | {signal.market_key: signal for signal in absent},
        signals_not_on_file=absent,
    )


def _detected_again(
    detector: Detector,
    coin: str,
    entries: Sequence[Entry],
    on_file: Sequence[Signal],
    rules: Sequence[tuple[int, Rules]],
) -> Iterator[Signal]:
    """The signals of a market's entries that are not among those on file, which the detector is told in their turn."""
    known, next_on_file = {signal.signal_id for signal in on_file}, 0
    for entry in entries:
        while next_on_file < len(on_file) and on_file[next_on_file].timestamp_ms < entry.at_ms:
            detector.resume([on_file[next_on_file]])
            next_on_file += 1
        detector.rules = rules_at(rules, entry.at_ms)
        signal = detector.observe(coin, entry)
        if signal is not None and signal.signal_id not in known:
            yield signal
