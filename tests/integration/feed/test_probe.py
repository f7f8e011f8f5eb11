"""The probe finds each fault of the simulated venue that it can see, and nothing at a venue without faults."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from feed import info_requests
from feed.probe.__main__ import MAX_COINS
from feed.probe.probe import Probe
from feed.probe.report import report
from hip3_tasks.domain.market import dex_of
from hip3_tasks.settings import Settings
from simulator.catalogue import default_listings
from simulator.listing import universe
from simulator.model import VenueModel
from simulator.pacing import play
from simulator.server import VenueServer

pytestmark = pytest.mark.slow

RATE_PER_S, SEED = 6.0, 7
SECONDS = 16.0
"""Long enough for five updates of the oracle; all runs take place at the same time."""
RUNS: dict[str, tuple[str, ...]] = {
    "none": (),
    "markets": (
        *("bad-bbo:xyz:TSLA", "frozen-bbo:xyz:NVDA", "old-blocks:xyz:AAPL", "future-blocks:xyz:MSFT"),
        *("blocks-go-back:xyz:GOOGL", "bad-ctx:xyz:AMZN", "no-ctx:xyz:META", "slow-ctx:xyz:HOOD"),
        *("null-mid:xyz:INTC", "no-ack:xyz:ORCL", "refused-subscription:xyz:PLTR", "no-first-bbo:xyz:KO"),
        *("odd-fee:xyz:TSLA", "number-fee:xyz:NVDA", "renamed-fee:xyz:AAPL"),
    ),
    "lists": ("dex-down:para", "dex-html:gone", "many-dexes", "late-coin:xyz:AMD", "dropped-connections@8-12"),
    "noise": ("empty-universe:para", "dex-null:gone", "no-all-perp-metas", "error-frames", "garbage-frames"),
    "silence": ("rate-limit", "frozen-ctx:para", "silent-sockets@11-17"),
}
FINDINGS = [
    ("markets", "all frames are understood", "bad_bbo xyz:TSLA"),
    ("markets", "book and context never disagree for long", "xyz:NVDA"),
    ("markets", "books arrive some 250 ms after their block", "xyz:AAPL"),
    ("markets", "books arrive some 250 ms after their block", "xyz:MSFT"),
    ("markets", "block times of a market never go back", "xyz:GOOGL"),
    ("markets", "all frames are understood", "bad_activeAssetCtx xyz:AMZN"),
    ("markets", "each market has contexts", "xyz:META"),
    ("silence", "book and context never disagree for long", "para:"),
    ("markets", "contexts come at a steady pace", "xyz:HOOD"),
    ("markets", "contexts have a mid", "xyz:INTC"),
    ("markets", "every subscription is answered", "xyz:ORCL: subscription not answered"),
    ("markets", "every subscription is answered", "xyz:PLTR: subscription refused"),
    ("markets", "the first book comes with the first context", "xyz:KO"),
    ("markets", "fees have a known form", "xyz:TSLA: deployerFeeScale 'x'"),
    ("markets", "fees have a known form", "xyz:AAPL: feeScale"),
    ("lists", "the info endpoint shows all lists", "para: the venue answered 500"),
    ("lists", "the info endpoint shows all lists", "gone: the answer is no JSON"),
    ("lists", "all dexes can be read one by one in a minute", ""),
    ("lists", "every subscription is answered", "xyz:AMD: closes the connection"),
    ("lists", "connections stay open", "closed by the venue"),
    ("noise", "the info endpoint shows all lists", "para: its list of markets is empty"),
    ("noise", "the info endpoint shows all lists", "gone: the answer is no pair"),
    ("noise", "the info endpoint shows all lists", "allPerpMetas"),
    ("noise", "all frames are understood", "error"),
    ("noise", "all frames are understood", "not_json"),
    ("silence", "the info endpoint shows all lists", "perpDexs: the venue answered 429"),
    ("silence", "a socket is never silent for long", ""),
]


async def probe(faults: tuple[str, ...]) -> dict[str, Any]:
    """The report of a probe of a venue with these faults."""
    listings = default_listings(rate_per_s=RATE_PER_S, seed=SEED)
    venue = VenueServer(universe(listings))
    for fault in faults:
        venue.switch_on(fault)
    await venue.start()
    market = asyncio.create_task(play(VenueModel(listings, rate_per_s=RATE_PER_S, seed=SEED).pushes(), venue))
    live = [listing.coin for listing in listings if not listing.is_delisted]
    broken = [fault.partition("@")[0].partition(":")[2] for fault in faults]
    coins = sorted(live, key=lambda coin: not {coin, dex_of(coin)} & {*broken})[:MAX_COINS]
    probe = Probe(Settings(venue=venue.base_url), seconds=SECONDS, coins=coins)
    try:
        await probe.run()
    finally:
        market.cancel()
        await venue.stop()
    assert probe.is_complete
    return report(probe, began_at_ms=0)


@pytest.fixture(scope="module")
def reports() -> Mapping[str, dict[str, Any]]:
    """The reports of all runs, which take place at the same time."""

    async def all_runs() -> list[dict[str, Any]]:
        return await asyncio.gather(*map(probe, RUNS.values()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(info_requests, "FIRST_BLOCK_MS", 100)
        return dict(zip(RUNS, asyncio.run(all_runs()), strict=True))


def contradicted(report: Mapping[str, Any]) -> dict[str, list[str]]:
    return {verdict.assumption: verdict.outside for verdict in report["assumptions"] if verdict.holds is False}


def test_a_venue_without_faults_meets_every_assumption(reports: Mapping[str, dict[str, Any]]) -> None:
    assert contradicted(reports["none"]) == {}
    assert not reports["none"]["proposals"]
    assert [verdict for verdict in reports["none"]["assumptions"] if verdict.holds is None] == []


@pytest.mark.parametrize(("run", "sentence", "name"), FINDINGS)
def test_a_fault_contradicts_the_assumption_that_it_breaks(
    run: str, sentence: str, name: str, reports: Mapping[str, dict[str, Any]]
) -> None:
    broken = contradicted(reports[run])
    texts = [text for assumption, named in broken.items() if assumption.startswith(sentence) for text in named]
    assert any(name in text for text in texts), broken


def test_a_fee_scale_that_is_a_number_is_known(reports: Mapping[str, dict[str, Any]]) -> None:
    assert "xyz:NVDA" not in reports["markets"]["universe"]["odd_fees"]


def test_both_sockets_bring_the_same_books_in_the_same_order(reports: Mapping[str, dict[str, Any]]) -> None:
    twins = reports["none"]["twins"]
    assert twins["skew_ms"]["count"] > 500 and twins["strays"] == [0, 0] and twins["disordered"] == 0
    assert twins["skew_ms"]["p99"] < 100
