"""A bot's decision, and its tests without a venue, a feed or a server: pytest examples/test_bot.py."""

from hip3_tasks.domain.edge import edge_bps
from hip3_tasks.domain.market import Gap, Market
from hip3_tasks.domain.records import Signal
from hip3_tasks.store.tape import TapeReader
from hip3_tasks.testing import T0_MS, FedTape, make_market, make_signal

pytest_plugins = ["hip3_tasks.testing.fixtures"]

COIN = "xyz:TSLA"
MAX_WATERMARK_AGE_MS = 1000


def should_trade(signal: Signal, reader: TapeReader, *, at_ms: int, cost_bps: float) -> bool:
    """Whether the market's current state is known and its edge on the signal's side still exceeds the cost."""
    watermark_ms, (reading,) = reader.newest([signal.market_key])
    if watermark_ms is None or at_ms - watermark_ms > MAX_WATERMARK_AGE_MS:
        return False
    if reading.entry is None or not isinstance(market := reading.entry.value, Market):
        return False
    touch_px, oracle_px = market.touch_px(signal.side), market.oracle_px
    if touch_px is None or oracle_px is None:
        return False
    return edge_bps(signal.side, touch_px=touch_px, oracle_px=oracle_px) > cost_bps


def decide(tape: FedTape, value: Market | Gap, *, watermark_age_ms: int = 5) -> bool:
    """The decision 500 ms after a signal, when the market changed to `value` 100 ms earlier."""
    tape.feed(COIN, make_market(), at_ms=T0_MS)
    tape.feed(COIN, value, at_ms=T0_MS + 400)
    tape.complete_up_to(T0_MS + 500)
    return should_trade(make_signal(COIN), tape.reader, at_ms=T0_MS + 500 + watermark_age_ms, cost_bps=10.0)


def test_an_edge_above_the_cost_is_traded(fed_tape: FedTape) -> None:
    assert decide(fed_tape, make_market(ask_px=249.7, oracle_px=250.0))


def test_an_edge_below_the_cost_is_left(fed_tape: FedTape) -> None:
    assert not decide(fed_tape, make_market(ask_px=249.8, oracle_px=250.0))


def test_nothing_is_traded_on_an_empty_side(fed_tape: FedTape) -> None:
    assert not decide(fed_tape, make_market(ask_px=None, ask_sz=None))


def test_nothing_is_traded_in_a_gap(fed_tape: FedTape) -> None:
    assert not decide(fed_tape, Gap("connection lost"))


def test_nothing_is_traded_when_the_watermark_is_old(fed_tape: FedTape) -> None:
    assert not decide(fed_tape, make_market(), watermark_age_ms=1001)
