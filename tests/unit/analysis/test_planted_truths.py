"""The report finds the effects that a generated history has, and none in noise."""

from functools import cache
from pathlib import Path

import polars as pl
import pytest

from hip3_tasks.analysis.loading.load import Data, LazyChunk
from hip3_tasks.analysis.loading.quality import DataQuality
from hip3_tasks.analysis.loading.schemas import FOLLOWUPS, KEY, MISSED, SIGNALS
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.threshold_search import MarketChoice, ThresholdVerdict
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.plan import Trader
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.tape.as_of import TOUCH
from hip3_tasks.tape.columns import KEY as ROW_KEY
from hip3_tasks.tape.columns import SCHEMA
from hip3_tasks.tape.pieces import PieceInfo, day_path, write_piece
from simulator.history import Frames, HistoryPlan, frames, truths
from simulator.history.report import report_on

PLAN = HistoryPlan(signals=40_000, hours=24, markets=16, copies=6.0, seed=3)


@cache
def choices() -> dict[str, MarketChoice]:
    history = frames(PLAN)
    search = report_on(history.signals, history.followups).search
    assert search is not None
    return {choice.market: choice for choice in search.choices}


def of_kind(kind: str) -> list[MarketChoice]:
    return [choices()[coin] for coin, truth in truths(PLAN).items() if truth.kind == kind]


def test_paying_markets_get_a_threshold_near_break_even() -> None:
    working = [choice for choice in of_kind("real") if choice.verdict is ThresholdVerdict.WORKS]
    assert len(working) * 2 >= len(of_kind("real"))
    for choice in working:
        begins_bps = truths(PLAN)[choice.market].break_even_bps
        assert choice.threshold_bps is not None and begins_bps is not None
        assert begins_bps - 4 <= choice.threshold_bps <= begins_bps + 4


def test_a_standing_offset_is_flagged() -> None:
    assert {choice.verdict for choice in of_kind("structural")} == {ThresholdVerdict.STRUCTURAL}


@pytest.mark.parametrize("kind", ["costly", "fleeting"])
def test_a_market_that_pays_only_at_the_mid_or_at_t0_is_not_recommended(kind: str) -> None:
    choices = of_kind(kind)
    assert not any(choice.verdict is ThresholdVerdict.WORKS for choice in choices)
    assert all(choice.net_bps.low is not None and choice.net_bps.low > 0 for choice in choices)


def test_noise_is_not_recommended_though_tuning_in_sample_would_have() -> None:
    noise = of_kind("noise") + of_kind("led") + of_kind("even")
    assert not any(choice.verdict is ThresholdVerdict.WORKS for choice in noise)
    assert any(choice.in_sample and (choice.in_sample.round_trip_bps.value or 0) > 0 for choice in noise)


# By a kept tape.

GONE_MS = 400
"""After this time each book is that of T+1 s."""
APART_MS = 7_000


@cache
def apart() -> Frames:
    """The signals of each market that are so far apart that their outcomes do not meet."""
    made = frames(PLAN)
    kept, ends_ms = [], dict[str, int]()
    for number, (coin, at_ms) in enumerate(made.signals.select("market_key", "timestamp_ms").iter_rows()):
        if at_ms >= ends_ms.get(coin, 0):
            kept.append(number)
            ends_ms[coin] = at_ms + APART_MS
    signals = made.signals[kept]
    followups = made.followups.join(signals.select("signal_id"), on="signal_id", how="semi")
    return Frames(signals=signals, followups=followups, missed=made.missed)


def keep_tape(data_dir: Path, made: Frames) -> None:
    """Each market's book as it stood at T0, from GONE_MS on as after 1 s, then as after 3 and 5 s."""
    at_ms = pl.col("signal_timestamp_ms") + pl.when(offset_ms=1000).then(GONE_MS).otherwise("offset_ms")
    later = made.followups.select("market_key", *TOUCH, at_ms=at_ms)
    rows = pl.concat([made.signals.select("market_key", *TOUCH, at_ms="timestamp_ms"), later]).rename(
        {"market_key": "coin"}
    )
    rows = rows.with_columns(seq=0, gap=None)
    rows = rows.with_columns(pl.lit(None).alias(name) for name in SCHEMA if name not in rows.columns)
    rows = rows.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()).sort(ROW_KEY)
    for day in (rows["at_ms"] // DAY_MS).unique():
        day_ms = day * DAY_MS
        own = rows.filter(pl.col("at_ms") // DAY_MS == day)
        info = PieceInfo(from_ms=day_ms, until_ms=day_ms + DAY_MS - 1)
        write_piece(day_path(data_dir, day_ms), own, info, level=1, group_rows=10_000)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("taped")
    keep_tape(data_dir, apart())
    return data_dir


def verdicts(tape: Path, *, latency_ms: int) -> dict[str, list[ThresholdVerdict]]:
    """The verdicts on the markets of each kind, by orders that arrive so late."""
    made = apart()
    data = Data(
        signals=SIGNALS.project(made.signals, all_fields=False).drop(KEY),
        chunks=[LazyChunk(FOLLOWUPS.project(made.followups, all_fields=False).drop(KEY).lazy())],
        missed=MISSED.empty(all_fields=False).drop(KEY),
        notes=DataQuality(dirs=[tape]),
    )
    report = build_report(data, by=By.MARKET, trader=Trader(latency_ms=latency_ms, latencies_ms=()), at_ms=0)
    assert report.taken is not None and report.taken.by_tape > 0.99 * made.signals.height
    assert report.search is not None
    by_kind: dict[str, list[ThresholdVerdict]] = {}
    for choice in report.search.choices:
        by_kind.setdefault(truths(PLAN)[choice.market].kind, []).append(choice.verdict)
    return by_kind


def test_an_edge_that_is_gone_before_the_order_arrives_is_not_recommended(tape: Path) -> None:
    late, early = verdicts(tape, latency_ms=600), verdicts(tape, latency_ms=200)
    assert ThresholdVerdict.WORKS not in late["fleeting"]
    assert ThresholdVerdict.WORKS in late["real"]
    assert ThresholdVerdict.WORKS in early["fleeting"]
    assert ThresholdVerdict.WORKS not in late["costly"] + late["even"]
