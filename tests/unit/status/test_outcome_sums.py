"""The panel's outcomes equal those of the report of the same files."""

import random
from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.analysis.loading.load import load
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.domain.records import Record
from hip3_tasks.status.line_counts import LineCounts, RunLineCounts, recent
from hip3_tasks.status.outcome_sums import BPS_DIGITS, OutcomeSummary, OutcomeSums, TripSummary, judged
from hip3_tasks.status.redis_snapshot import RedisSnapshot
from hip3_tasks.status.rolling_window import RollingWindow
from hip3_tasks.status.system_status import SystemStatus
from tests.reference.report import slow_trips
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal
from tests.support.generators import KINDS, Directory, outcomes, signals


def taken(*records: Record) -> dict[int, OutcomeSummary]:
    counts = LineCounts()
    for record in records:
        counts.take(KINDS[type(record)], record.model_dump(mode="json"))
    return status(counts).outcomes_by_offset_ms


def status(counts: LineCounts) -> SystemStatus:
    return SystemStatus.from_parts(counts, RedisSnapshot(at_ms=T0_MS))


def test_the_sums_equal_those_of_the_report(tmp_path: Path) -> None:
    chance = random.Random(7)
    run, directory = RunLineCounts(tmp_path), Directory(tmp_path)
    for coin, cost_bps in (("xyz:TSLA", 1.9), ("para:BANKS", 10.0)):
        for signal in signals(chance, [coin], from_ms=T0_MS, minutes=10):
            values = {"net_edge_bps": signal.raw_edge_bps - cost_bps, "taker_fee_bps": cost_bps - 1.0}
            signal = signal.model_copy(update=values | {"best_size": chance.choice([0.02, 2.0])})
            directory.add(signal, *outcomes(signal, chance))
    run.update()
    assert_as_reported(run, directory.path)
    assert_as_reported(recent(tmp_path, T0_MS - 1, until_ms=T0_MS + 3_600_000), directory.path)


def assert_as_reported(counts: LineCounts, path: Path) -> None:
    total = build_report(load(path), by=By.MARKET, cost_bps=None, at_ms=T0_MS).total
    summaries = status(counts).outcomes_by_offset_ms
    assert list(summaries) == [horizon.offset_ms for horizon in total.horizons]
    for horizon in total.horizons:
        ours = summaries[horizon.offset_ms]
        assert (ours.followups, ours.markouts, ours.nets) == (horizon.n, horizon.markout_n, horizon.markout_n)
        assert ours.share(Outcome.BOOK_CAME) == pytest.approx(horizon.book_came.value)
        assert ours.share(Outcome.ORACLE_CAME) == pytest.approx(horizon.oracle_came.value)
        assert ours.markout_bps == pytest.approx(horizon.markout_bps.value, abs=10**-BPS_DIGITS)
        assert ours.net_bps == pytest.approx(horizon.net_bps.value, abs=10**-BPS_DIGITS)
    for trip, expected in zip(status(counts).trips, slow_trips(path), strict=True):
        names = ("latency_ms", "held_ms", "n", "too_small", "trips")
        assert [getattr(trip, name) for name in names] == [expected[name] for name in names]
        assert trip.had == pytest.approx(expected["had"]["value"])
        assert trip.round_trip_bps == pytest.approx(expected["round_trip_bps"]["value"], abs=10**-BPS_DIGITS)


def test_a_value_that_no_follow_up_has_is_none_and_never_zero() -> None:
    signal, stranger = a_signal(), a_signal("xyz:STRANGER")
    assert taken(signal, a_missed(signal)) == {}
    one_sided = taken(signal, a_followup(signal, markout_bps=None))[1000]
    assert (one_sided.markout_bps, one_sided.net_bps, one_sided.markouts) == (None, None, 0)
    costless = taken(a_followup(stranger, markout_bps=2.0))[1000]
    assert (costless.markout_bps, costless.net_bps, costless.nets) == (2.0, None, 0)


def test_the_trips_of_the_most_orders_are_judged_and_of_these_the_longest() -> None:
    assert status(LineCounts()).taken is None
    two, four, eight = (
        TripSummary(latency_ms=1000, held_ms=ms, n=n, too_small=0, had=None, trips=0, round_trip_bps=None)
        for ms, n in ((2000, 9), (4000, 9), (8000, 1))
    )
    assert judged([two, four, eight]) == four


def test_the_longest_offset_with_a_follow_up_is_decisive() -> None:
    signal, counts = a_signal(), LineCounts()
    assert status(counts).decisive is None
    for offset_ms in (1000, 3000):
        counts.add("followups", [a_followup(signal, offset_ms).line()])
        decisive = status(counts).decisive
        assert decisive is not None and decisive[0] == offset_ms
    counts.add("missed", [a_missed(signal, 5000).line()])
    assert status(counts).decisive == decisive


@pytest.mark.parametrize(
    "damage", [{"side": "hold"}, {"edge_change_bps": "x"}, {"market_moved_bps": None}, {"markout_bps": []}]
)
def test_a_faulty_follow_up_is_not_counted(damage: dict[str, Any]) -> None:
    sums = OutcomeSums()
    with pytest.raises((ValueError, TypeError)):
        sums.add(a_followup().model_dump(mode="json") | damage, 10.0)
    assert sums.summary() == OutcomeSums().summary()


def test_an_overflow_leaves_no_mean() -> None:
    outcome = taken(*[a_followup(markout_bps=1e308), a_followup(markout_bps=1e308)])[1000]
    assert (outcome.followups, outcome.markout_bps) == (2, None)


def test_a_cost_is_known_to_follow_ups_of_a_later_bucket() -> None:
    window = RollingWindow()
    for number in range(100):
        signal = a_signal(at_ms=T0_MS + number * 1_000, side=Side.SELL)
        window.take("signals", signal.model_dump(mode="json"))
        window.take("followups", a_followup(signal, 5000, markout_bps=12.0).model_dump(mode="json"))
    decisive = status(window.counts()).decisive
    assert decisive is not None
    assert (decisive[1].nets, decisive[1].net_bps) == (100, 2.0)
