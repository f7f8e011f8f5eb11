"""Today's edges by horizon and a taker's round trips, from running sums."""

import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hip3_tasks.analysis import load
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.model import Group
from hip3_tasks.domain.capture import DAY_MS, MINUTE_MS
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.records import Followup, Record
from hip3_tasks.stats.bootstrap import Estimate
from hip3_tasks.status import trips
from hip3_tasks.status.trips import TRIP_SUMS
from hip3_tasks.web.decay import DecayRow, TripRow, decay_table, trip_table
from hip3_tasks.web.file_feed import FileFeed
from hip3_tasks.web.today_sums import WIDTH, TodaySums
from tests.reference.report import slow_trips
from tests.support.factories import DAY, T0_MS, a_followup, a_signal
from tests.support.generators import KINDS, Directory, outcomes, signals

COINS = ("xyz:TSLA", "xyz:AAPL", "para:OIL")
edges = st.floats(-100, 100)
lines = st.lists(
    st.tuples(st.sampled_from(COINS), st.sampled_from(Side), st.integers(0, 90), edges, st.none() | edges), max_size=60
)


def summed(*records: Record) -> TodaySums:
    decay = TodaySums()
    decay.turn_to(T0_MS)
    for record in records:
        decay.take(KINDS[type(record)], record.model_dump(mode="json"))
    return decay


def followups(drawn: Sequence[tuple[str, Side, int, float, float | None]]) -> list[Record]:
    records: list[Record] = []
    for coin, side, minute, edge_bps, markout_bps in drawn:
        signal = a_signal(coin, side=side, at_ms=T0_MS + minute * MINUTE_MS)
        records.append(a_followup(signal, raw_edge_bps=edge_bps, markout_bps=markout_bps))
    return records


@given(lines, st.sampled_from([None, *COINS]), st.sampled_from([None, *Side]))
def test_means_and_counts_equal_those_of_the_lines(
    drawn: list[tuple[str, Side, int, float, float | None]], coin: str | None, side: Side | None
) -> None:
    table = decay_table(summed(*followups(drawn)), coin=coin, side=side)
    wanted = [line for line in drawn if coin in (None, line[0]) and side in (None, line[1])]
    assert [row.offset_ms for row in table] == ([0, 1000] if wanted else [])
    for row in table[1:]:
        assert row.n == len(wanted)
        assert row.clusters == len({(line[0].split(":")[0], (T0_MS // MINUTE_MS) + line[2]) for line in wanted})
        assert row.edge_bps.value == pytest.approx(sum(line[3] for line in wanted) / len(wanted), abs=1e-9)
        markouts = [line[4] for line in wanted if line[4] is not None]
        expected = sum(markouts) / len(markouts) if markouts else None
        assert row.markout_bps.value == (expected if expected is None else pytest.approx(expected, abs=1e-9))


def band(*edges_bps: float, minutes: Sequence[int]) -> DecayRow:
    drawn = [("xyz:TSLA", Side.BUY, minute, edge, 0.0) for minute, edge in zip(minutes, edges_bps, strict=True)]
    return decay_table(summed(*followups(drawn)), coin=None, side=None)[1]


def test_few_minutes_have_no_band() -> None:
    assert band(*[3.0, 5.0] * 40, minutes=[minute for _ in range(8) for minute in range(10)]).edge_bps.low is None


def test_lines_of_one_minute_are_one_event() -> None:
    alone = band(*[2.0, 6.0] * 20, minutes=range(40)).edge_bps
    doubled = band(*[2.0, 6.0] * 20 * 5, minutes=[minute for _ in range(5) for minute in range(40)]).edge_bps
    assert (alone.low, alone.high) == (pytest.approx(doubled.low), pytest.approx(doubled.high))
    assert alone.low is not None and alone.high is not None and 3 < alone.low < 4.0 < alone.high < 5


def test_horizon_zero_is_the_signal_itself() -> None:
    signal = a_signal()
    first, second = decay_table(summed(signal, a_followup(signal)), coin=None, side=None)
    assert (first.offset_ms, first.edge_bps.value, first.markout_bps.value) == (0, signal.raw_edge_bps, 0.0)
    assert second.offset_ms == 1000


def test_the_table_equals_the_report_of_the_same_files(tmp_path: Path) -> None:
    """Means and bands are equal for all markets, one market and one side."""
    chance, signals, captured = Random(1), list[Record](), list[Record]()
    for n in range(400):
        at_ms = T0_MS + chance.randrange(60) * MINUTE_MS + n
        signals.append(signal := a_signal(chance.choice(COINS), side=chance.choice(list(Side)), at_ms=at_ms))
        for offset_ms in (1000, 3000, 5000)[: chance.randrange(4)]:
            edges_bps = {"t0_raw_edge_bps": chance.gauss(20, 5), "raw_edge_bps": chance.gauss(5, 9)}
            markout_bps = chance.choice([None, chance.gauss(3, 9)])
            captured.append(a_followup(signal, offset_ms, markout_bps=markout_bps, **edges_bps))
    for kind, records in (("signals", signals), ("followups", captured)):
        (tmp_path / f"{kind}_{DAY}.jsonl").write_bytes(b"".join(record.line() for record in records))
    of_market, of_side = (build_report(load(tmp_path), by=by, cost_bps=None, at_ms=0) for by in (By.MARKET, By.SIDE))
    assert all(row.markout_bps.low is not None for row in of_market.total.horizons)
    decay = summed(*signals, *captured)
    assert_same(decay_table(decay, coin=None, side=None), of_market.total)
    for group in of_market.groups:
        assert_same(decay_table(decay, coin=group.name, side=None), group)
    for group in of_side.groups:
        assert_same(decay_table(decay, coin=None, side=Side(group.name)), group)


def assert_same(table: Sequence[DecayRow], group: Group) -> None:
    nearest = group.horizons[0]
    expected = [(0, nearest.n, nearest.clusters, nearest.edge_t0_bps, Estimate(value=0, low=0, high=0))]
    expected += [(row.offset_ms, row.n, row.clusters, row.edge_bps, row.markout_bps) for row in group.horizons]
    rows = [(row.offset_ms, row.n, row.clusters, row.edge_bps, row.markout_bps) for row in table]
    for row, (*counts, edge_bps, markout_bps) in zip(rows, expected, strict=True):
        assert row[:3] == tuple(counts)
        assert row[3].model_dump() == pytest.approx(edge_bps.model_dump())
        assert row[4].model_dump() == pytest.approx(markout_bps.model_dump())


def sized(chance: Random, coins: Sequence[str], *, minutes: int) -> list[Record]:
    """Signals and their outcomes, whose touches are worth less than an order may be now and then."""
    records: list[Record] = []
    for signal in signals(chance, coins, from_ms=T0_MS, minutes=minutes, taker_fee_bps=0.9):
        signal = signal.model_copy(update={"best_size": chance.choice([0.02, 1.0, 3.0, 9.0])})
        records += [signal, *outcomes(signal, chance)]
    return [
        record.model_copy(update={"best_size": chance.choice([0.01, 1.0, 5.0])})
        if isinstance(record, Followup)
        else record
        for record in records
    ]


def assert_trips(rows: Sequence[TripRow], expected: Sequence[dict[str, Any]]) -> None:
    counts = ("latency_ms", "held_ms", "n", "too_small", "trips", "clusters")
    assert [[getattr(row, name) for name in counts] for row in rows] == [
        [row[name] for name in counts] for row in expected
    ]
    for row, one_expected in zip(rows, expected, strict=True):
        for name in ("had", "round_trip_bps"):
            assert getattr(row, name).model_dump() == pytest.approx(one_expected[name])


def read(path: Path, *later: Record) -> TodaySums:
    """The sums of a page that starts before the later records are written."""
    files, at_ms = FileFeed(path), T0_MS + 10 * 3_600_000
    while not files.is_caught_up:
        files.update(at_ms)
    Directory(path).add(*later)
    files.update(at_ms)
    return files.today


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_round_trips_equal_those_of_the_slow_report(seed: int, minutes: int) -> None:
    records = sized(Random(seed), COINS, minutes=minutes)
    counts = Counter(record.offset_ms for record in records if isinstance(record, Followup))
    # The report leaves out an offset that few follow-ups have.
    assume(len(counts) == 3 and 2 * min(counts.values()) >= max(counts.values()))
    with tempfile.TemporaryDirectory() as folder:
        path, half = Path(folder), len(records) // 2
        Directory(path).add(*records[:half])
        live = read(path, *records[half:])
        expected = slow_trips(path)
        for sums in (summed(*records), live, read(path)):
            rows = trip_table(sums, coin=None, side=None)
            assert_trips([row for row in rows if row.n], expected)
            assert max(row.n + row.too_small for row in rows) == counts[1000]


def test_bands_of_round_trips_equal_those_of_the_slow_report(tmp_path: Path) -> None:
    """For all markets, one market and one side."""
    records = sized(Random(5), COINS, minutes=60)
    Directory(tmp_path).add(*records)
    sums = summed(*records)
    rows = trip_table(sums, coin=None, side=None)
    assert all(row.round_trip_bps.low is not None and row.too_small for row in rows)
    assert_trips(rows, slow_trips(tmp_path))
    for coin in COINS:
        assert_trips(
            trip_table(sums, coin=coin, side=None),
            slow_trips(tmp_path, wanted=lambda row, coin=coin: row["market"] == coin),
        )
    for side in Side:
        assert_trips(
            trip_table(sums, coin=None, side=side),
            slow_trips(tmp_path, wanted=lambda row, side=side: row["side"] == side),
        )


def test_a_day_of_any_length_is_read_with_few_signals_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of no signal, or a torn one, delays none behind it."""
    monkeypatch.setattr(trips, "MAX_OPEN_SIGNALS", 2)
    records = sized(Random(6), COINS, minutes=9)
    directory = Directory(tmp_path)
    directory.add(*records)
    expected = slow_trips(tmp_path)
    with directory.file(next(record for record in records if isinstance(record, Followup))).open("ab") as file:
        file.write(b'{"signal_id": "x", "market_key": "y", "signal_timestamp_ms": null}\n{"torn"\n')
    assert_trips(trip_table(read(tmp_path), coin=None, side=None), expected)


def test_a_follow_up_that_was_captured_late_finds_its_signal(tmp_path: Path) -> None:
    records = sized(Random(6), COINS, minutes=9)
    late = next(record for record in records if isinstance(record, Followup))
    Directory(tmp_path).add(*(record for record in records if record is not late), late)
    assert_trips(trip_table(read(tmp_path), coin=None, side=None), slow_trips(tmp_path))


def test_horizons_and_ways_out_have_as_many_sums() -> None:
    assert len(TRIP_SUMS) == WIDTH


def test_a_new_day_clears_the_sums_and_other_days_are_not_counted() -> None:
    decay = summed(a_followup(), a_followup(a_signal(at_ms=T0_MS - DAY_MS)))
    assert decay_table(decay, coin=None, side=None)[0].n == 1
    decay.turn_to(T0_MS + DAY_MS)
    assert decay_table(decay, coin=None, side=None) == []


def test_one_thread_may_read_while_another_adds() -> None:
    decay, line, is_over = summed(), a_followup().model_dump(mode="json"), threading.Event()

    def add() -> None:
        for n in range(3_000):
            decay.take("followups", line | {"market_key": f"xyz:C{n % 50}", "signal_timestamp_ms": T0_MS + n * 997})
        is_over.set()

    adding = threading.Thread(target=add)
    adding.start()
    while not is_over.is_set():
        decay_table(decay, coin=None, side=None)
    adding.join()
    assert decay_table(decay, coin=None, side=None)[0].n == 3_000
