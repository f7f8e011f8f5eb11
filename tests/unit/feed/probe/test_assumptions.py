"""Verdicts and proposals of a measurement."""

from feed.probe.assumptions import MAX_NAMED, Assumption, assumptions
from feed.probe.measurement import Measurement
from feed.probe.proposals import proposals
from feed.probe.samples import Samples
from feed.probe.socket_notes import SocketNotes
from feed.probe.twins import Twins
from feed.probe.venue_lists import DexList, VenueLists
from hip3_tasks.settings import Settings


def measured(**volumes: int) -> Measurement:
    """A measurement that heard nothing, of a venue with so many markets on each dex."""
    lists = VenueLists(dexes={dex: number for number, dex in enumerate(volumes, 1)})
    for dex, markets in volumes.items():
        lists.lists[dex] = DexList(volumes={f"{dex}:M{number}": 1.0 for number in range(markets)})
    twins = Twins()
    sockets = SocketNotes(0, twins), SocketNotes(1, twins)
    return Measurement(lists=lists, sockets=sockets, twins=twins, elapsed_ms=60_000)


def claim(measurement: Measurement, sentence: str) -> Assumption:
    return next(each for each in assumptions(measurement) if each.sentence == sentence)


def test_an_assumption_that_was_not_measured_is_not_known() -> None:
    unknown = [each.sentence for each in assumptions(measured()) if each.holds is None]
    assert {"contexts come every second", "one socket has all books", "book and context agree"} <= {*unknown}


def test_a_market_that_breaks_an_assumption_is_named_and_the_names_are_bounded() -> None:
    measurement = measured(xyz=1)
    for number in range(MAX_NAMED + 5):
        market = measurement.sockets[0].markets[f"xyz:M{number:02}"]
        market.counts.update(books=10, older_books=1)
    verdict = claim(measurement, "block times of a market never go back")
    assert verdict.holds is False and verdict.named[0] == "xyz:M00: 1"
    assert len(verdict.named) == MAX_NAMED + 1 and verdict.named[-1] == "and 5 more"


def test_a_rare_repetition_is_no_contradiction() -> None:
    measurement = measured(xyz=1)
    market = measurement.sockets[0].markets["xyz:M0"]
    market.counts.update(books=1_000, repeated_books=9)
    assert claim(measurement, "a book comes only when it changes").holds
    market.counts["repeated_books"] = 11
    assert claim(measurement, "a book comes only when it changes").holds is False


def test_more_markets_than_fit_propose_the_busiest_dexes_that_fit() -> None:
    measurement = measured(big=400, small=60, next=90)
    assert claim(measurement, "all markets fit into one IP's limits").holds is False
    (proposal,) = proposals(measurement, Settings())
    assert (proposal.name, proposal.value) == ("HIP3_DEXES", "big,next")


def test_a_venue_that_suits_the_defaults_gets_no_proposal() -> None:
    measurement = measured(xyz=40)
    measurement.sockets[0].pause_ms = Samples([30] * 1_000)
    measurement.sockets[0].markets["xyz:M0"].samples["lag_ms"] = Samples([250] * 100)
    assert proposals(measurement, Settings()) == []


def test_silences_and_lags_beyond_the_defaults_propose_a_limit() -> None:
    measurement = measured(xyz=40)
    market = measurement.sockets[0].markets["xyz:M0"]
    measurement.sockets[0].pause_ms = Samples([30] * 1_000 + [1_800] * 3)
    market.samples.update(lag_ms=Samples([3_000] * 10), ctx_pause_ms=Samples([25_000] * 10))
    values = {proposal.name: proposal.value for proposal in proposals(measurement, Settings())}
    expected = {"HIP3_STALL_GRACE_MS": "3000", "HIP3_MAX_LAG_MS": "9000", "HIP3_CTX_MAX_AGE_MS": "75000"}
    assert values == expected


def test_books_of_long_ago_propose_no_limit_that_would_hide_it() -> None:
    measurement = measured(xyz=40)
    measurement.sockets[0].markets["xyz:M0"].samples["lag_ms"] = Samples([420_000] * 10)
    assert proposals(measurement, Settings()) == []
