"""The probe finds each fault of the simulated venue that it can see, and nothing at a venue without faults."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from feed.probe import info
from feed.probe.document import document, holds
from feed.probe.run import MAX_COINS, Probe
from feed.witness import dex_of
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
    ("markets", "all frames are understood", "xyz:TSLA"),
    ("markets", "book and context never disagree for long", "xyz:NVDA"),
    ("markets", "books arrive some 250 ms after their block", "xyz:AAPL"),
    ("markets", "books arrive some 250 ms after their block", "xyz:MSFT"),
    ("markets", "block times of a market never go back", "xyz:GOOGL"),
    ("markets", "all frames are understood", "xyz:AMZN"),
    ("markets", "each market has contexts", "xyz:META"),
    ("silence", "book and context never disagree for long", "para:"),
    ("silence", "the oracle of a dex changes every 3 to 4 s", "para"),
    ("markets", "contexts come every second", "xyz:HOOD"),
    ("markets", "contexts have a mid", "xyz:INTC"),
    ("markets", "every subscription is answered", "bbo xyz:ORCL"),
    ("markets", "every subscription is answered", "activeAssetCtx xyz:PLTR"),
    ("markets", "a subscription brings the present book at once", "xyz:KO"),
    ("markets", "fee scales have a known form", "xyz:TSLA: str 'x'"),
    ("markets", "fee scales have a known form", "xyz:NVDA: float 1.0"),
    ("markets", "fee scales have a known form", "xyz:AAPL: no deployerFeeScale, but feeScale"),
    ("lists", "each dex shows its markets", "para: the venue answered 500"),
    ("lists", "each dex shows its markets", "gone: the answer is no JSON"),
    ("lists", "all dexes can be read one by one in a minute", ""),
    ("lists", "every subscription is answered", "xyz:AMD ends the connection"),
    ("lists", "connections stay open", "closed by the venue"),
    ("noise", "each dex shows its markets", "para: its list of markets is empty"),
    ("noise", "each dex shows its markets", "gone: the answer is no pair"),
    ("noise", "the venue has allPerpMetas", ""),
    ("noise", "error frames are answers to requests", ""),
    ("noise", "all frames are understood", ""),
    ("silence", "the info endpoint answers", ""),
    ("silence", "the info limit of this IP is not exhausted", ""),
    ("silence", "a socket is never silent for long", ""),
]


async def probe(faults: tuple[str, ...]) -> dict[str, Any]:
    """The document of a probe of a venue with these faults."""
    listings = default_listings(rate_per_s=RATE_PER_S, seed=SEED)
    venue = VenueServer(universe(listings))
    for fault in faults:
        venue.switch_on(fault)
    await venue.start()
    market = asyncio.create_task(play(VenueModel(listings, rate_per_s=RATE_PER_S, seed=SEED).pushes(), venue))
    live = [listing.coin for listing in listings if not listing.is_delisted]
    broken = [fault.partition("@")[0].partition(":")[2] for fault in faults]
    coins = sorted(live, key=lambda coin: not {coin, dex_of(coin)} & {*broken})[:MAX_COINS]
    try:
        measurement = await Probe(base_url=venue.base_url, seconds=SECONDS, coins=coins).run()
    finally:
        market.cancel()
        await venue.stop()
    settings = Settings(venue=venue.base_url)
    return document(measurement, settings, began_at_ms=0, ended_at_ms=1, is_complete=True)


@pytest.fixture(scope="module")
def documents() -> Mapping[str, dict[str, Any]]:
    """The documents of all runs, which take place at the same time."""

    async def all_runs() -> list[dict[str, Any]]:
        return await asyncio.gather(*map(probe, RUNS.values()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(info, "RETRY_S", 0.1)
        return dict(zip(RUNS, asyncio.run(all_runs()), strict=True))


def contradicted(document: Mapping[str, Any]) -> dict[str, list[str]]:
    return {claim["sentence"]: claim["named"] for claim in document["assumptions"] if claim["holds"] is False}


def test_a_venue_without_faults_meets_every_assumption(documents: Mapping[str, dict[str, Any]]) -> None:
    assert contradicted(documents["none"]) == {}
    assert holds(documents["none"]) and not documents["none"]["settings"]
    assert [claim for claim in documents["none"]["assumptions"] if claim["holds"] is None] == []


@pytest.mark.parametrize(("run", "sentence", "name"), FINDINGS)
def test_a_fault_contradicts_the_assumption_that_it_breaks(
    run: str, sentence: str, name: str, documents: Mapping[str, dict[str, Any]]
) -> None:
    named = contradicted(documents[run])
    assert sentence in named, named
    assert not name or any(text.startswith(name) for text in named[sentence]), named[sentence]


def test_both_sockets_bring_the_same_books_in_the_same_order(documents: Mapping[str, dict[str, Any]]) -> None:
    twins = documents["none"]["twins"]
    assert twins["compared"] > 500 and twins["strays"] == [0, 0] and twins["disordered"] == 0
    assert twins["skew_ms"]["p99"] < 100
