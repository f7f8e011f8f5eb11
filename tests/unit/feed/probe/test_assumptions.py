"""Verdicts and proposals of a report."""

from typing import Any

import pytest

from feed.probe.market import Samples
from feed.probe.probe import Probe
from feed.probe.report import ASSUMPTIONS, MAX_NAMED, Verdict, report, summary
from hip3_tasks.settings import Settings

COINS = [f"xyz:M{number:02}" for number in range(MAX_NAMED + 5)]


@pytest.fixture
def probe() -> Probe:
    """A probe that read the lists of one dex, and heard nothing."""
    probe = Probe(Settings(), seconds=1, coins=1)
    probe.lists.dexes, probe.lists.live = ["xyz"], dict.fromkeys(COINS, 1.0)
    probe.best.follow(COINS)
    return probe


def verdict(probe: Probe, words: str) -> Verdict:
    verdicts: list[Verdict] = report(probe, began_at_ms=0)["assumptions"]
    return next(each for each in verdicts if words in each.assumption)


def numbers(probe: Probe, coin: str, **samples: list[int]) -> None:
    probe.best.markets[coin].samples.update({name: Samples(values) for name, values in samples.items()})


def test_an_assumption_that_was_not_measured_is_not_known(probe: Probe) -> None:
    unknown = [each.assumption for each in report(probe, began_at_ms=0)["assumptions"] if each.holds is None]
    assert {"contexts come every second (median, ms)", "one socket has all books (% not)"} <= {*unknown}
    nothing = Probe(Settings(), seconds=1, coins=1)
    assert verdict(nothing, "fees").holds is None
    assert len(list(summary(report(nothing, began_at_ms=0)))) == 3 + len(ASSUMPTIONS)


def test_what_breaks_an_assumption_is_named_the_worst_first_and_the_names_are_bounded(probe: Probe) -> None:
    for number, coin in enumerate(COINS, 1):
        probe.best.markets[coin].counts.update(books=10, older_books=number)
    broken = verdict(probe, "block times")
    assert broken.holds is False and broken.outside[0] == f"{COINS[-1]} {len(COINS)}"
    assert len(broken.outside) == MAX_NAMED + 1 and broken.outside[-1] == "5 more"


def test_a_rare_contradiction_breaks_no_assumption(probe: Probe) -> None:
    market = probe.best.markets[COINS[0]]
    market.counts.update(contexts=1_000, contradictions=9)
    assert verdict(probe, "book and context agree").holds
    market.counts["contradictions"] = 11
    assert verdict(probe, "book and context agree").outside == [f"{COINS[0]} 1.1"]


def test_faults_are_listed_with_their_reasons(probe: Probe) -> None:
    assert verdict(probe, "info endpoint").holds
    probe.lists.broken["para"] = "the venue answered 500"
    assert verdict(probe, "info endpoint").outside == ["para: the venue answered 500"]


def test_more_markets_than_one_ip_may_subscribe_are_named(probe: Probe) -> None:
    probe.lists.live = {f"xyz:{number}": 1.0 for number in range(501)}
    assert verdict(probe, "subscriptions").outside == ["1,002"]


@pytest.mark.parametrize(
    ("samples", "pauses_ms", "settings"),
    [
        ({"lag_ms": [250] * 100}, [30] * 1_000, []),
        ({"lag_ms": [3_000] * 10}, [], ["HIP3_MAX_LAG_MS=9000"]),
        ({"lag_ms": [420_000] * 10}, [], []),  # a larger limit would only hide it
        ({"ctx_pause_ms": [25_000] * 10}, [], ["HIP3_CTX_MAX_AGE_MS=75000"]),
        ({}, [30] * 1_000 + [1_800] * 3, ["HIP3_STALL_GRACE_MS=3000"]),
        ({}, [30] * 1_000 + [1_800] * 2, []),
    ],
)
def test_a_setting_is_proposed_only_where_the_default_would_not_do(
    samples: dict[str, Any], pauses_ms: list[int], settings: list[str], probe: Probe
) -> None:
    numbers(probe, COINS[0], **samples)
    probe.best.pause_ms = Samples(pauses_ms)
    proposals = report(probe, began_at_ms=0)["proposals"]
    assert [proposal.partition(":")[0] for proposal in proposals] == settings
