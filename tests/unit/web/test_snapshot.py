"""The changes between two states of the page."""

from dataclasses import replace

from hip3_tasks.domain.sessions import Session
from hip3_tasks.status.market_rows import MarketRow, MarketStatus
from hip3_tasks.web.snapshot import PageState, diff
from tests.support.factories import T0_MS

AAPL, TSLA = (MarketRow(coin=coin, state=MarketStatus.LIVE, ask_px=100.0) for coin in ("xyz:AAPL", "xyz:TSLA"))
STATE = PageState(name="x", venue="v", at_ms=T0_MS, session=Session.REGULAR, markets=[AAPL, TSLA])


def test_only_the_time_is_in_every_change() -> None:
    assert diff(STATE, replace(STATE, ok=False)) == {"at_ms": T0_MS}


def test_a_change_has_the_fields_and_market_rows_that_differ() -> None:
    moved = replace(TSLA, ask_px=101.0)
    now = replace(STATE, at_ms=T0_MS + 500, problems=["x"], markets=[AAPL, moved])
    assert diff(STATE, now) == {"at_ms": T0_MS + 500, "problems": ["x"], "markets": [moved]}


def test_all_coins_are_named_when_markets_come_or_go() -> None:
    assert diff(STATE, replace(STATE, markets=[TSLA])) == {"at_ms": T0_MS, "markets": [], "coins": ["xyz:TSLA"]}
