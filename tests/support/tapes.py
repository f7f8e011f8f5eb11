"""Tapes as a feed writes them, entry by entry, for tests of detection."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from hip3_tasks.domain.conditions import NO_WITNESS, Conditions, CtxWitness
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import Entry, Gap, Market, decode_entry
from hip3_tasks.domain.records import Signal
from hip3_tasks.store.tape import stamp
from tests.support.factories import T0_MS, a_market

COIN = "xyz:TSLA"
FEE_BPS = 9.0
WITNESS = CtxWitness(mid_px=100.1, impact_bid_px=99.5, impact_ask_px=None, period_ms=3000)


def news(
    market: Market,
    *,
    at_ms: int = T0_MS,
    rules: Rules | None = None,
    coin: str = COIN,
    fee_bps: float = FEE_BPS,
    ctx_age_ms: int = 0,
    is_judged: bool = True,
    has_lag: bool = False,
    witness: CtxWitness = NO_WITNESS,
) -> Entry:
    """The entry of a state that a frame has changed."""
    conditions = Conditions(
        is_news=True,
        is_judged=is_judged,
        has_lag=has_lag,
        ctx_age_ms=ctx_age_ms,
        taker_fee_bps=fee_bps,
        threshold_bps=(rules or Rules()).threshold_bps(coin, fee_bps),
        witness=witness,
    )
    return Entry(at_ms, market, conditions)


def on_tape(entries: Iterable[Entry]) -> list[Entry]:
    """The entries as they are read back from the bytes of a tape."""
    stored: list[Entry] = []
    for seq, entry in enumerate(entries):
        _, at_ms, _, field, data, conditions = stamp(COIN, entry.at_ms, seq, entry.value, entry.conditions)
        fields = {field.encode(): data.encode()} | ({b"d": conditions.encode()} if conditions else {})
        stored.append(decode_entry(b"%d-%d" % (at_ms, seq), fields))
    return stored


@dataclass(frozen=True, slots=True)
class Step:
    """One entry that a feed writes, without the detector's memory, and whether it is a keyframe."""

    entry: Entry
    is_keyframe: bool = False


prices = st.sampled_from([None, 99.0, 99.7, 100.0, 100.3, 101.0])
rules = st.builds(
    Rules,
    min_edge_bps=st.sampled_from([0.0, 5.0, 40.0]),
    thresholds_bps=st.sampled_from([{}, {}, {COIN: 0.0}, {COIN: -50.0}]),
    cooldown_ms=st.sampled_from([0, 1, 500, 5000]),
)


@st.composite
def updates(draw: st.DrawFn, rules: Rules) -> list[Entry]:
    """Changed states, in the order of time; of one millisecond there may be several."""
    entries: list[Entry] = []
    at_ms, oracle_px, oracle_at_ms = T0_MS, None, 0
    for step_ms in draw(st.lists(st.sampled_from([0, 0, 1, 200, 500, 3000, 9000]), max_size=60)):
        at_ms += step_ms
        if (new_px := draw(prices)) != oracle_px:
            oracle_px, oracle_at_ms = new_px, at_ms
        market = a_market(
            at_ms=at_ms, bid_px=draw(prices), ask_px=draw(prices), oracle_px=oracle_px, oracle_at_ms=oracle_at_ms
        )
        ctx_age_ms = draw(st.sampled_from([0, 0, 0, 8000, 8001]))
        witness, has_lag = draw(st.sampled_from([NO_WITNESS, WITNESS])), draw(st.booleans())
        entries.append(news(market, at_ms=at_ms, rules=rules, ctx_age_ms=ctx_age_ms, witness=witness, has_lag=has_lag))
    return entries


@st.composite
def steps(draw: st.DrawFn, rules: Rules) -> list[Step]:
    """All that a feed writes: changed states, with detection or without, and repeated states, gaps and keyframes."""
    written: list[Step] = []
    last: Entry | None = None
    for update in draw(updates(rules)):
        conditions = update.conditions
        assert conditions is not None
        fee_bps = draw(st.sampled_from([FEE_BPS, FEE_BPS, 0.9]))
        changed = replace(
            conditions,
            is_judged=draw(st.sampled_from([True, True, True, False])),
            taker_fee_bps=fee_bps,
            threshold_bps=rules.threshold_bps(COIN, fee_bps),
        )
        last = Entry(update.at_ms, update.value, changed)
        written.append(Step(last))
        for kind in draw(st.lists(st.sampled_from(["keyframe", "repeat", "gap"]), max_size=2)):
            written.append(_more(kind, last))
            last = written[-1].entry
    return written


def _more(kind: str, last: Entry) -> Step:
    """An entry that no frame made, in the millisecond of the last one."""
    conditions = last.conditions or Conditions()
    if kind == "gap":
        return Step(Entry(last.at_ms, Gap("stalled")))
    repeated = replace(conditions, is_news=False, is_judged=kind == "repeat", memory=None)
    return Step(Entry(last.at_ms, last.value, repeated), is_keyframe=kind == "keyframe")


def written_by_a_feed(steps: Iterable[Step], rules: Rules) -> tuple[list[Entry], list[Signal | None]]:
    """The tape that a feed with these rules writes, and the signal of each entry as the feed detects it."""
    detector = Detector(rules)
    entries: list[Entry] = []
    signals: list[Signal | None] = []
    for step in steps:
        entry = step.entry
        if step.is_keyframe:
            conditions = replace(entry.conditions or Conditions(), memory=detector.memory(COIN))
            entry = replace(entry, conditions=conditions)
        entries.append(entry)
        is_news = entry.conditions is not None and entry.conditions.is_news
        signals.append(detector.observe(COIN, entry) if is_news else None)
    return on_tape(entries), signals


def detect(coin: str, entries: Iterable[Entry], *, rules: Rules) -> Iterator[Signal]:
    """The signals of one market's tape, or of its part from a keyframe on."""
    detector = Detector(rules)
    for entry in entries:
        signal = detector.observe(coin, entry)
        if signal is not None:
            yield signal
