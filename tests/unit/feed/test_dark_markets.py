from feed.notices import dark_notices, dark_problem
from hip3_tasks.domain.records import Dark
from tests.support.factories import T0_MS

MINUTE_MS = 60_000


def dark(*causes: str, since_ms: int = T0_MS) -> list[Dark]:
    return [Dark(coin=f"xyz:C{number}", cause=cause, since_ms=since_ms) for number, cause in enumerate(causes)]


def test_without_a_live_market_health_names_the_cause_and_the_first_instant() -> None:
    problem = dark_problem(dark("gap: bad_activeAssetCtx", "gap: bad_activeAssetCtx"), wanted=2, at_ms=T0_MS)
    assert problem == "no market is live: gap: bad_activeAssetCtx, since 09:11:41 UTC"


def test_most_markets_dark_is_a_problem_once_it_lasts() -> None:
    markets = dark("gap: x", "gap: x", "subscription not answered", "subscription refused: y")
    assert dark_problem(markets, wanted=7, at_ms=T0_MS + 10_000) is None
    expected = "4 of 7 markets are dark: gap: x (2), subscription not answered (1), since 09:11:41 UTC"
    assert dark_problem(markets, wanted=7, at_ms=T0_MS + 10_001) == expected
    assert dark_problem(markets, wanted=8, at_ms=T0_MS + MINUTE_MS) is None


def test_a_market_is_a_notice_once_it_has_been_dark_for_a_minute() -> None:
    assert dark_notices(dark("x"), at_ms=T0_MS + MINUTE_MS) == []
    assert dark_notices(dark("x"), at_ms=T0_MS + MINUTE_MS + 1) == ["1 market dark for more than a minute: xyz:C0"]
    (many,) = dark_notices(dark(*"xxxxxxx"), at_ms=T0_MS + 2 * MINUTE_MS)
    assert many == "7 markets dark for more than a minute: xyz:C0, xyz:C1, xyz:C2, xyz:C3, xyz:C4, 2 more"
