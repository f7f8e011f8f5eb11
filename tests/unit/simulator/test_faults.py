"""Faults of the simulated venue: the text of a switch, and what each fault does to frames and answers."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.faults.active import ActiveFaults
from simulator.faults.fault import FaultScope, SubscribeReply
from simulator.faults.spec import FaultSpecError, switch_from
from simulator.faults.table import FAULTS, GROUPS, lines
from simulator.info import answer
from simulator.venue_data import VenueData
from simulator.wire import asset_ctx, bbo_data

UNIVERSE = {
    "xyz": [
        {"name": "xyz:TSLA", "szDecimals": 3, "deployerFeeScale": "1.0"},
        {"name": "xyz:AAPL", "szDecimals": 3, "deployerFeeScale": "1.0"},
    ],
    "para": [{"name": "para:TECH", "szDecimals": 2, "deployerFeeScale": "1.0"}],
}
NOW_MS = 1_788_330_949_235


class Broken:
    """A venue's faults with a clock that the test moves."""

    def __init__(self, *texts: str) -> None:
        self.at_s = 0.0
        self.faults = ActiveFaults(lambda: self.at_s)
        self.faults.switches += [switch_from(text, universe=UNIVERSE) for text in texts]

    def bbo(self, coin: str = "xyz:TSLA", bid_px: str = "431.2", time_ms: int = NOW_MS) -> dict[str, Any] | None:
        return self.faults.bbo(bbo_data(coin, (bid_px, "3.0"), None, time_ms=time_ms))

    def ctx(self, coin: str = "xyz:TSLA", oracle_px: str = "431.2") -> dict[str, Any] | None:
        ctx = asset_ctx(oracle_px=oracle_px, mid_px=oracle_px, impact_pxs=[oracle_px, oracle_px])
        return self.faults.ctx(coin, ctx)

    def ask(self, **question: str) -> Any:
        data = VenueData(self.faults.universe(UNIVERSE))
        return self.faults.answer(question, answer(question, data, now_ms=NOW_MS), data.universe)

    def coins(self, dex: str = "xyz") -> list[str]:
        return [market["name"] for market in self.ask(type="meta", dex=dex).body["universe"]]


@pytest.mark.parametrize(
    ("text", "target", "start_s", "end_s"),
    [
        ("frozen-bbo", None, 0, inf),
        ("frozen-bbo:xyz:TSLA", "xyz:TSLA", 0, inf),
        ("frozen-bbo:xyz@5", "xyz", 5, inf),
        ("frozen-bbo:xyz:TSLA@5-33.5", "xyz:TSLA", 5, 33.5),
        ("rate-limit@0-10", None, 0, 10),
    ],
)
def test_a_switch_has_a_name_a_target_and_times(text: str, target: str | None, start_s: float, end_s: float) -> None:
    switch = switch_from(text, universe=UNIVERSE)
    assert (switch.fault.name, switch.target) == (text.partition(":")[0].partition("@")[0], target)
    assert (switch.start_s, switch.end_s) == (start_s, end_s)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frozen-bo", "no fault is named 'frozen-bo'; close to it: frozen-bbo"),
        ("zzz", "no fault is named 'zzz'; --fault list prints all"),
        ("frozen-bbo:xyz:TLSA", "the venue lists no 'xyz:TLSA'; close to it: xyz:TSLA"),
        ("frozen-bbo:xzy", "the venue lists no 'xzy'; close to it: xyz"),
        ("dex-down:xyz:TSLA", "dex-down takes a dex, was 'xyz:TSLA'"),
        ("rate-limit:xyz", "rate-limit takes no coin or dex, was 'xyz'"),
        ("bad-bbo@5-3", "expected an end after the start"),
        ("bad-bbo@", "expected NAME"),
        ("bad-bbo@-3", "expected NAME"),
        ("bad-bbo:@3", "expected NAME"),
        ("", "expected NAME"),
    ],
)
def test_a_mistake_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(FaultSpecError, match=message) as caught:
        switch_from(text, universe=UNIVERSE)
    assert "\n" not in str(caught.value)


@given(st.text() | st.from_regex(r"[a-z-]{1,12}(:[a-z:]{0,5})?(@[0-9.-]{0,9})?"))
def test_any_text_is_a_switch_or_the_one_error(text: str) -> None:
    with suppress(FaultSpecError):
        switch_from(text, universe=UNIVERSE)


def test_every_fault_has_one_line_and_a_name_of_its_own() -> None:
    assert len(FAULTS) == sum(map(len, GROUPS)) == len(lines())
    for name, line in zip(FAULTS, lines(), strict=True):
        assert line.startswith(name)
        assert len(line) <= 120


def test_a_fault_is_on_in_its_time_and_for_its_target_alone() -> None:
    venue = Broken("zero-mark:xyz@5-10", "zero-mark:para:TECH@20")
    for at_s, marks in (
        (4.9, "431.2 431.2"),
        (5, "0.0 431.2"),
        (9.9, "0.0 431.2"),
        (10, "431.2 431.2"),
        (20, "431.2 0.0"),
    ):
        venue.at_s = at_s
        assert [venue.ctx(coin)["markPx"] for coin in ("xyz:AAPL", "para:TECH")] == marks.split()


def test_books_that_cannot_be_read_keep_their_empty_side() -> None:
    assert Broken("bad-bbo").bbo()["bbo"] == [{"px": "n/a", "sz": "3.0", "n": 1}, None]
    [bid, _] = Broken("exponent-bbo").bbo()["bbo"]
    assert bid["px"] == "4.312000e+02"


def test_a_frozen_book_comes_once_more_in_its_last_state() -> None:
    venue = Broken("frozen-bbo:xyz:TSLA")
    assert [bool(venue.bbo(bid_px=px)) for px in ("431.2", "431.3", "431.2")] == [True, False, False]
    assert venue.bbo("xyz:AAPL")


@pytest.mark.parametrize(("name", "shift_ms"), [("old-blocks", -420_000), ("future-blocks", 60_000)])
def test_block_times_are_shifted(name: str, shift_ms: int) -> None:
    assert Broken(name).bbo()["time"] == NOW_MS + shift_ms
    assert Broken(name).faults.block_time_ms("xyz:TSLA", NOW_MS) == NOW_MS + shift_ms


def test_blocks_that_go_back_bring_the_book_of_that_block() -> None:
    venue = Broken("blocks-go-back")
    frames = [venue.bbo(bid_px=f"43{number}.5", time_ms=NOW_MS + number) for number in range(10)]
    assert [frame["time"] - NOW_MS for frame in frames] == [0, 1, 2, 3, 1, 5, 6, 7, 8, 6]
    assert frames[4] == frames[1]
    assert [venue.bbo("xyz:AAPL", time_ms=time_ms)["time"] for time_ms in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_bad_contexts() -> None:
    assert Broken("bad-ctx").ctx()["oraclePx"] == 431.2
    assert Broken("no-ctx").ctx() is None
    assert Broken("zero-mark").ctx()["markPx"] == "0.0"
    assert [Broken("null-mid").ctx()[field] for field in ("midPx", "impactPxs", "oraclePx")] == [None, None, "431.2"]
    frozen = Broken("frozen-ctx")
    assert [frozen.ctx(oracle_px=px)["oraclePx"] for px in ("431.2", "432.0")] == ["431.2", "431.2"]


@pytest.mark.parametrize(("name", "period_s"), [("slow-ctx", 5.4), ("slower-ctx", 13.6)])
def test_slow_contexts_come_once_or_twice_a_period(name: str, period_s: float) -> None:
    venue, passed_at_s = Broken(name), []
    for beat in range(200):
        venue.at_s = 0.3 + beat * 1.008
        if venue.ctx():
            passed_at_s.append(venue.at_s)
    periods = {at_s // period_s for at_s in passed_at_s}
    assert periods == set(range(len(periods)))
    assert len(passed_at_s) <= 2 * len(periods)


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("no-ack", SubscribeReply.SILENCE),
        ("refused-subscription", SubscribeReply.ERROR),
        ("no-first-bbo", SubscribeReply.NO_FIRST_BBO),
        ("late-coin", SubscribeReply.CLOSE),
        ("not-listed", SubscribeReply.CLOSE),
    ],
)
def test_subscriptions_of_the_target_get_another_reply(name: str, reply: SubscribeReply) -> None:
    faults = Broken(f"{name}:xyz:TSLA").faults
    assert (faults.reply("xyz:TSLA"), faults.reply("xyz:AAPL")) == (reply, None)


def test_meta_lists_a_late_coin_and_no_unlisted_one() -> None:
    assert Broken("late-coin:xyz:TSLA").coins() == ["xyz:TSLA", "xyz:AAPL"]
    assert Broken("not-listed:xyz:TSLA").coins() == ["xyz:AAPL"]


@pytest.mark.parametrize(
    ("name", "fee"),
    [
        ("odd-fee", {"deployerFeeScale": "x"}),
        ("number-fee", {"deployerFeeScale": 1.0}),
        ("no-fee", {}),
        ("renamed-fee", {"feeScale": "1.0"}),
    ],
)
def test_the_fee_scale_of_one_market_is_odd(name: str, fee: dict[str, object]) -> None:
    odd, right = Broken(f"{name}:xyz:TSLA").ask(type="meta", dex="xyz").body["universe"]
    assert {field: value for field, value in odd.items() if field not in ("name", "szDecimals")} == fee
    assert right == UNIVERSE["xyz"][1]


@pytest.mark.parametrize(("name", "status"), [("dex-down", 500), ("dex-html", 200), ("dex-null", 200)])
def test_one_dex_is_broken_and_the_others_are_not(name: str, status: int) -> None:
    venue = Broken(f"{name}:xyz")
    for kind in ("meta", "metaAndAssetCtxs"):
        assert venue.ask(type=kind, dex="xyz").status == status
        assert not isinstance(venue.ask(type=kind, dex="xyz").body, dict | list)
    assert venue.coins("para") == ["para:TECH"]
    first, xyz, para = venue.ask(type="allPerpMetas").body
    assert (first["universe"], xyz, para["universe"]) == ([], None, UNIVERSE["para"])


def test_an_empty_universe() -> None:
    venue = Broken("empty-universe:xyz")
    assert (venue.coins(), venue.coins("para")) == ([], ["para:TECH"])


def test_many_dexes_are_listed_everywhere() -> None:
    venue = Broken("many-dexes")
    assert len(venue.ask(type="perpDexs").body) == len(venue.ask(type="allPerpMetas").body) == 203
    assert venue.ask(type="meta", dex="t007").body["universe"][0]["isDelisted"]


def test_limits_and_missing_types() -> None:
    assert Broken("rate-limit").ask(type="perpDexs").status == 429
    venue = Broken("no-all-perp-metas")
    assert (venue.ask(type="allPerpMetas").status, venue.ask(type="perpDexs").status) == (422, 200)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_does_something_and_is_limited_as_it_says(fault: Any) -> None:
    does = (fault.bbo, fault.ctx, fault.block_time_shift_ms, fault.reply, fault.universe, fault.answer, fault.outage)
    assert any(does)
    if fault.bbo or fault.ctx or fault.reply or fault.block_time_shift_ms:
        assert fault.scope is FaultScope.COIN
    if fault.outage:
        assert fault.scope is FaultScope.VENUE
