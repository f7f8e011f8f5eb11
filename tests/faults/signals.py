"""Compare the signals file with the dislocations of the scripted venue, and with what the tape makes."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Market
from hip3_tasks.domain.records import Signal
from tests.faults.row import Result
from tests.faults.venue import Move

BRIEF_MS = 300
"""An oracle that stays away for less may be seen in the millisecond of another, which then has the signal."""
MOVE_BPS = 25.0
"""Every move goes through the book by more; a market with a higher threshold has no signal."""
LOST_DATA = "lost:"
"""The cause of a gap after which the tape lacks entries that a feed had detected signals on."""

Key = tuple[str, Side, float]
"""Coin, side and oracle price: the name of a move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The sources that the signals file is compared with."""

    moves: Sequence[Move]
    tapes: Mapping[str, Sequence[Entry]]
    rules: Rules
    is_certain: Callable[[str, float], bool]
    """Whether a feed knew a coin and was detecting at an instant, whatever the tape has."""
    clock_ms: int
    """Largest difference between the clocks of venue and feed."""
    is_deceived: Callable[[str, float], bool] = lambda coin, at_ms: False
    """Whether the venue sent something else than it had of a coin at an instant, and no feed could tell yet."""


@dataclass(slots=True)
class Faults:
    """Descriptions of the faults by signal or move, so that a fault that both sources show counts once."""

    lost: dict[Key | str, str] = field(default_factory=dict)
    twice: Counter[Key | str] = field(default_factory=Counter)
    invented: dict[str, str] = field(default_factory=dict)


def judge_signals(signals: Sequence[Signal], known: Known, result: Result, *, when: str) -> None:
    """Count the signals that are lost, there twice and invented."""
    faults, wanted = Faults(), wanted_moves(signals, known)
    on_file = {_key(signal) for signal in signals}
    faults.lost |= {_name(move): "its move is not on file" for move in wanted if _name(move) not in on_file}
    _compare_with_moves(signals, known, faults)
    for coin, entries in known.tapes.items():
        _compare_with_tape(coin, entries, signals, known, faults)
    counts = {"lost": len(faults.lost), "twice": faults.twice.total(), "invented": len(faults.invented)}
    result.add_signals(wanted=len(wanted), **counts)
    for what, some in ("lost", faults.lost), ("twice", faults.twice), ("invented", faults.invented):
        if some:
            result.add_broken(f"{when}: signals {what}: {sorted(map(str, some.items()))[:3]}")


def wanted_moves(signals: Sequence[Signal], known: Known) -> list[Move]:
    """The moves that must have a signal: a feed was certainly detecting, or the tape has what it detects on."""
    first, names = _first_entries(known.tapes), {_name(move) for move in known.moves}
    fired: dict[tuple[str, Side], list[Signal]] = {}
    for signal in signals:
        if _key(signal) in names:
            fired.setdefault((signal.market_key, signal.side), []).append(signal)
    return [
        move
        for move in known.moves
        if _is_wanted(move, first.get((move.coin, move.oracle_px)), fired.get((move.coin, move.side), ()), known)
    ]


def detected(
    coin: str, entries: Sequence[Entry], signals: Sequence[Signal], *, rules: Rules
) -> tuple[list[Signal], list[Signal]]:
    """The signals that a tape makes, and those of `signals` to compare with them; `signals` are in order of time.

    The others are taken as given: those before the tape begins or after the server lost data, and those on entries of
    version 0.1.0, which lack what detection depends on.
    """
    detector, expected, compared = Detector(rules), list[Signal](), list[Signal]()
    done, is_whole = 0, False
    for entry in entries:
        before, done = done, bisect_left(signals, entry.at_ms, lo=done, key=_time)
        if is_whole:
            compared += signals[before:done]
        else:
            detector.resume(signals[before:done])
        if isinstance(entry.value, Market):
            is_whole = entry.conditions is not None
        elif entry.value.cause.startswith(LOST_DATA):
            is_whole = False
        signal = detector.observe(coin, entry)
        if signal is not None:
            expected.append(signal)
    return expected, compared + list(signals[done:] if is_whole else ())


def _compare_with_moves(signals: Sequence[Signal], known: Known, faults: Faults) -> None:
    moves = {_name(move): move for move in known.moves}
    coins = {move.coin for move in known.moves}
    lines, ids = Counter(signal.signal_id for signal in signals), Counter[Key]()
    faults.twice.update({signal_id: times - 1 for signal_id, times in lines.items() if times > 1})
    for signal in {signal.signal_id: signal for signal in signals if signal.market_key in coins}.values():
        move = moves.get(_key(signal))
        if move is None:
            if known.is_deceived(signal.market_key, signal.timestamp_ms):
                continue
            faults.invented[signal.signal_id] = f"no move to {signal.oracle_px} for a {signal.side}"
        elif signal.timestamp_ms < move.sent_at_ms - known.clock_ms:
            faults.invented[signal.signal_id] = f"sent at {move.sent_at_ms:.0f}"
        else:
            ids[_key(signal)] += 1
    faults.twice.update({key: times - 1 for key, times in ids.items() if times > 1})


def _compare_with_tape(
    coin: str, entries: Sequence[Entry], signals: Sequence[Signal], known: Known, faults: Faults
) -> None:
    of_coin = sorted(
        (signal for signal in signals if signal.market_key == coin), key=lambda signal: signal.timestamp_ms
    )
    expected, compared = detected(coin, entries, of_coin, rules=known.rules)
    expected_ids, ids = {signal.signal_id for signal in expected}, {signal.signal_id for signal in of_coin}
    for signal in expected:
        if signal.signal_id not in ids and _key(signal) not in faults.lost:
            faults.lost[signal.signal_id] = "the tape makes it"
    for signal in compared:
        if signal.signal_id not in expected_ids:
            faults.invented.setdefault(signal.signal_id, "the tape does not make it")


def _first_entries(tapes: Mapping[str, Sequence[Entry]]) -> dict[tuple[str, float | None], Entry]:
    """The first entry of each coin that shows an oracle price."""
    first: dict[tuple[str, float | None], Entry] = {}
    for coin, entries in tapes.items():
        for entry in entries:
            if isinstance(entry.value, Market):
                first.setdefault((coin, entry.value.oracle_px), entry)
    return first


def _is_wanted(move: Move, first: Entry | None, fired: Sequence[Signal], known: Known) -> bool:
    """Whether a move must have a signal; `first` is the first entry with its oracle, `fired` has those of its side."""
    others = [signal.timestamp_ms for signal in fired if signal.oracle_px != move.oracle_px]
    if _is_certain(move, known):
        at_ms, margin_ms = move.sent_at_ms, known.clock_ms
    elif first is not None and _may_fire(first):
        at_ms, margin_ms = first.at_ms, 0
    else:
        return False
    return not any(-margin_ms <= at_ms - other_ms < known.rules.cooldown_ms + margin_ms for other_ms in others)


def _may_fire(entry: Entry) -> bool:
    conditions = entry.conditions
    if conditions is None or conditions.threshold_bps is None or conditions.threshold_bps > MOVE_BPS:
        return False
    return bool(conditions.is_news and conditions.is_judged and not conditions.is_doubted)


def _is_certain(move: Move, known: Known) -> bool:
    lasts_ms = move.until_ms - move.sent_at_ms
    return lasts_ms >= BRIEF_MS and known.is_certain(move.coin, move.sent_at_ms)


def _name(move: Move) -> Key:
    return move.coin, move.side, move.oracle_px


def _key(signal: Signal) -> Key:
    return signal.market_key, signal.side, signal.oracle_px


def _time(signal: Signal) -> int:
    return signal.timestamp_ms
