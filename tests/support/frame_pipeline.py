"""Frames to states, tape entries, signals, follow-ups and their lines, with a check of each value.

It raises AssertionError when a value differs from its frame, is not finite, is not positive where it must be, is null
in place of a number, or changes when it is read back. A property test and a fuzzer supply the frames.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import orjson

from feed.market_state import MarketState
from feed.wire import Bbo, Ctx, Frame, parse_frame
from feed.witness import SocketWitness
from hip3_tasks.domain.conditions import Trigger
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import Entry, Gap
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed, Record, Signal
from hip3_tasks.errors import MalformedFrame
from tests.support.factories import T0_MS
from tests.support.tapes import news, on_tape

COIN = "xyz:TSLA"
FEE_BPS = 0.9
STEP_MS = 700
"""Time between two frames: longer than a side's cooldown, shorter than the first offset."""
PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
TEXTS = frozenset(("signal_id", "market_key", "side", "reason", "detail", "trigger"))
TIME_MS = "1788330949235"
NO_NUMBERS = (
    *('"NaN"', '"inf"', '"-inf"', '"0"', '"0.0"', '"-1"', '"+1"', '"1e309"', '"1e"', '"1_000"', '"1,000"', '"0x10"'),
    *(
        '"١٠٠"',
        '"１００"',
        '""',
        '" 1"',
        '".5"',
        '"5."',
        f'"{"9" * 400}"',
        '"\\ud800"',
        "0",
        "-1",
        "1.5",
        "NaN",
        "1e309",
    ),
    *("true", "[]", "{}"),
)
"""Texts, some of them invalid JSON, that must not be accepted as a price, a size or a time."""
ODD_NUMBERS = ('"99.7"', '"100"', '"100"', '"100.3"', '"10"', '"1000"', f'"0.{"0" * 23}1"', f'"{"9" * 18}"')
"""Prices close to each other, ten times as large or small, and the smallest and largest possible."""
NULLABLE = frozenset(
    (
        *("bid_px", "bid_sz", "ask_px", "ask_sz", "mark_px", "oracle_updates", "markout_bps", "detail"),
        *("lag_ms", "ctx_age_ms", "oracle_age_max_ms", "trigger", "ctx_mid_px", "impact_bid_px", "impact_ask_px"),
        *("taker_fee_bps", "slippage_bps", "heard", "dark"),
    )
)


def bbo_frame(*levels: str, time_ms: str = TIME_MS, coin: str = COIN) -> str:
    """A frame of values that are JSON already, of any kind; `level` makes a level."""
    return f'{{"channel":"bbo","data":{{"coin":"{coin}","time":{time_ms},"bbo":[{",".join(levels)}]}}}}'


def level(px: str, sz: str) -> str:
    return f'{{"px":{px},"sz":{sz},"n":1}}'


def ctx_frame(oracle_px: str, mark_px: str, *, coin: str = COIN) -> str:
    values = f'{{"oraclePx":{oracle_px},"markPx":{mark_px},"midPx":null}}'
    return f'{{"channel":"activeAssetCtx","data":{{"coin":"{coin}","ctx":{values}}}}}'


def impossible_frames(*, coin: str = COIN) -> Iterator[str]:
    """Frames that are valid except for one number that no frame can do without: each impossible value in each place."""
    for value in NO_NUMBERS:
        for place in range(5):
            bid_px, bid_sz, ask_px, ask_sz, time_ms = _replaced(['"100"'] * 4 + [TIME_MS], place, value)
            yield bbo_frame(level(bid_px, bid_sz), level(ask_px, ask_sz), time_ms=time_ms, coin=coin)
        yield ctx_frame(value, '"100"', coin=coin)


def hold(frames: Iterable[str | bytes]) -> list[Record]:
    """The signals and follow-ups from the frames of one coin, in the order of the frames."""
    state, detector = MarketState(COIN, FEE_BPS, Rules()), Detector(Rules())
    witness = SocketWitness(stall_grace_ms=1500)
    witness.follow(COIN)
    tape: list[Entry] = []
    signals: list[Signal] = []
    for number, raw in enumerate(frames):
        at_ms = T0_MS + number * STEP_MS
        frame = understood(raw, witness, at_ms)
        is_data = isinstance(frame, Bbo | Ctx) and frame.coin == COIN
        if is_data:
            witness.hear(frame, at_ms)
            if isinstance(frame, Ctx):
                state.note_oracle(frame.oracle_px, at_ms)
        if witness.objection(COIN, at_ms) is not None:
            if state.market is not None:
                state.lose("unknown", at_ms)
                tape.append(_read_back(Entry(at_ms, Gap("unknown"))))
            continue
        if not is_data:
            continue
        heard = witness.markets[COIN]
        update = state.update(heard, at_ms, Trigger.BBO if isinstance(frame, Bbo) else Trigger.CTX, is_judged=True)
        if update is not None and update.conditions.is_news:
            ctx_age_ms = at_ms - heard.ctx_at_ms
            tape.append(_read_back(news(update.market, at_ms=at_ms, coin=COIN, fee_bps=FEE_BPS, ctx_age_ms=ctx_age_ms)))
            signal = detector.observe(COIN, tape[-1])
            signals += [] if signal is None else [signal]
    records = [record for signal in signals for record in (signal, *_outcomes(signal, tape))]
    for record in records:
        line = record.line()
        assert not (wrong := wrong_in(line)), f"{wrong}: {line!r}"
        assert type(record).from_line(line) == record
    return records


def understood(raw: str | bytes, witness: SocketWitness | None = None, at_ms: int = T0_MS) -> Frame | None:
    """The parsed frame; None when the parser raised MalformedFrame, of which a witness is told."""
    try:
        frame = parse_frame(raw)
    except MalformedFrame as error:
        assert error.kind
        if witness is not None and error.coin is not None and error.channel is not None:
            witness.refuse(error.coin, error.channel, at_ms)
        return None
    if isinstance(frame, Bbo):
        data = orjson.loads(raw)["data"]
        assert type(data["time"]) is int and 0 < data["time"] == frame.time_ms < 10**13
        for level, written in zip_longest((frame.bid, frame.ask), data["bbo"]):
            assert (level is None) == (written is None)
            if level is not None:
                _is_as_written(level.px, written["px"])
                _is_as_written(level.sz, written["sz"])
    if isinstance(frame, Ctx):
        ctx = orjson.loads(raw)["data"]["ctx"]
        assert (frame.oracle_px is None) == (ctx["oraclePx"] is None)
        for px, text in ((frame.oracle_px, ctx["oraclePx"]), (frame.mark_px, ctx.get("markPx"))):
            if px is not None:
                _is_as_written(px, text)
    return frame


def wrong_in(line: bytes) -> list[str]:
    """The values in a line of a data file that must not be there."""
    return [f"{name}: {value!r}" for name, value in json.loads(line).items() if not _may_stand(name, value)]


def _replaced(values: Sequence[str], place: int, value: str) -> list[str]:
    return [*values[:place], value, *values[place + 1 :]]


def _may_stand(name: str, value: Any) -> bool:
    match value:
        case None:
            return name in NULLABLE
        case str():
            return name in TEXTS
        case bool():
            return False
        case float():
            return math.isfinite(value) and (value > 0 or name.endswith("_bps"))
        case int():
            return (value >= 0 or name == "lag_ms") and not name.endswith(("_px", "_sz", "_size", "_bps"))
        case list() if name == "dark":
            return all(type(text) in (str, int) for market in value for text in market.values())
        case list() if name in ("coins", "heard"):
            return all(type(coin) is str for coin in value)
        case list() if name == "offsets_ms":
            return all(type(offset_ms) is int and offset_ms > 0 for offset_ms in value)
        case _:
            return False


def _is_as_written(number: float, text: Any) -> None:
    """Check the text, because `float` also accepts signs, blanks, underscores and digits of any script."""
    assert isinstance(text, str) and PLAIN.fullmatch(text), f"{number} was read from {text!r}"
    assert 0 < number < math.inf and number == float(text)


def _read_back(entry: Entry) -> Entry:
    (stored,) = on_tape([entry])
    assert stored == entry
    return stored


def _outcomes(signal: Signal, tape: Sequence[Entry]) -> Iterator[Followup | Missed]:
    t0 = _as_of(tape, signal.timestamp_ms)
    for capture in signal.captures():
        due_at_ms = capture.due_at_ms
        yield measure(signal, capture, due=_as_of(tape, due_at_ms), t0=t0, at_ms=due_at_ms + 3)


def _as_of(tape: Sequence[Entry], at_ms: int) -> Entry | None:
    return next((entry for entry in reversed(tape) if entry.at_ms <= at_ms), None)
