"""Generated histories have the form of the product's files, and the effects that they declare."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hip3_tasks.analysis.loading.schemas import columns_of
from hip3_tasks.audit.audit import audit
from hip3_tasks.domain.capture import utc_day
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Record, Signal
from hip3_tasks.files.line_reader import read_from
from simulator.history import SMALL, Frames, HistoryPlan, MarketKind, PlantedMarket, frames, truths, write
from simulator.history.files import lines
from simulator.history.markets import SLIPPAGE_BPS

DAYS = HistoryPlan(signals=6000, hours=26, markets=16, copies=8, missed_share=0.02, seed=3)
"""A small history over a midnight, in several chunks."""
LARGE = HistoryPlan(signals=300_000, hours=48, markets=16, copies=10, seed=5)
KINDS: dict[str, type[Record]] = {"signals": Signal, "followups": Followup, "missed": Missed}
MAX_Z = 4.5
"""Largest allowed error of a mean, in standard errors; about 100 means with heavy tails are within it."""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history")
    write(DAYS, directory)
    return directory


@pytest.fixture(scope="module")
def large() -> Frames:
    return frames(LARGE)


def in_files(data_dir: Path, kind: str) -> list[bytes]:
    return [line for path in sorted(data_dir.glob(f"{kind}_*.jsonl")) for line in read_from(path)[0]]


def mean_and_error(rows: pl.DataFrame, value: pl.Expr) -> tuple[float, float]:
    """The mean, and its standard error with whole minutes as clusters."""
    minutes = rows.group_by(pl.col("signal_timestamp_ms") // 60_000).agg(total=value.sum(), count=pl.len())
    total, count = minutes["total"].to_numpy(), minutes["count"].to_numpy()
    mean = total.sum() / count.sum()
    return mean, float(np.sqrt(np.sum((total - mean * count) ** 2))) / count.sum()


def orders_of(made: Frames, market: PlantedMarket) -> pl.DataFrame:
    """A market's orders that arrive at T+1 s, with each way out."""
    is_buy = pl.col("side") == "buy"
    sign = pl.when(is_buy).then(1).otherwise(-1)
    followups = made.followups.filter(market_key=market.market_key)
    entries = followups.filter(offset_ms=1000).select(
        "signal_id", entry_px="best_px", is_had=sign * (pl.col("best_px") - pl.col("t0_best_px")) <= 0
    )
    exit_px = pl.when(is_buy).then("bid_px").otherwise("ask_px")
    moved_bps = sign * (exit_px - pl.col("entry_px")) / pl.col("entry_px") * 1e4
    orders = followups.filter(pl.col("offset_ms") > 1000).join(entries, on="signal_id")
    return orders.with_columns(round_trip_bps=moved_bps - 2 * market.fee_bps - SLIPPAGE_BPS)


def test_an_audit_finds_all_well(data_dir: Path) -> None:
    audited = audit(data_dir, at_ms=DAYS.start_at_ms + 10**9)
    assert audited.ok, audited.problems
    assert list(audited.days) == [utc_day(DAYS.start_at_ms), utc_day(DAYS.start_at_ms + 86_400_000)]
    assert (audited.total.signals, audited.total.expected, audited.total.open) == (6000, 18_000, 0)
    assert audited.total.missed[MissedReason.FEED_GAP] > audited.total.missed[MissedReason.NO_QUOTE] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_the_bytes_that_records_write(data_dir: Path, kind: str) -> None:
    for line in in_files(data_dir, kind):
        assert KINDS[kind].from_line(line).line() == line + b"\n"


@pytest.mark.parametrize("number", [1e-07, 1e16, -2e-9, 3e22, 0.0, -0.0, 1e-5, 0.1, 1.5e-12, 123456789.125])
def test_odd_numbers_too_are_written_as_records_write_them(number: float) -> None:
    (signal,) = frames(replace(SMALL, signals=1)).signals.to_dicts()
    odd = signal | {"net_edge_bps": number, "offsets_ms": tuple(signal["offsets_ms"])}
    assert lines(pl.DataFrame([odd], schema=columns_of(Signal))) == Signal.model_construct(**odd).line()


def test_files_are_in_the_order_of_appending(data_dir: Path) -> None:
    times = [Signal.from_line(line).timestamp_ms for line in in_files(data_dir, "signals")]
    assert times == sorted(times)
    for path in data_dir.glob("followups_*.jsonl"):
        captured = [Followup.from_line(line).captured_at_ms for line in read_from(path)[0]]
        assert captured == sorted(captured)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_and_files_hold_the_same_records(data_dir: Path, kind: str) -> None:
    frame: pl.DataFrame = getattr(frames(DAYS), kind)
    assert frame.schema == pl.Schema(columns_of(KINDS[kind]))
    time = "timestamp_ms" if kind == "signals" else "signal_timestamp_ms"
    of_days = frame.sort(pl.col(time) // 86_400_000, maintain_order=True)
    assert lines(of_days).splitlines() == in_files(data_dir, kind)


def test_the_same_seed_makes_the_same_bytes_and_another_one_others(data_dir: Path, tmp_path: Path) -> None:
    write(DAYS, tmp_path / "again")
    write(replace(DAYS, seed=4), tmp_path / "other")
    names = sorted(path.name for path in data_dir.iterdir())
    assert all((tmp_path / "again" / name).read_bytes() == (data_dir / name).read_bytes() for name in names)
    assert not any((tmp_path / "other" / name).read_bytes() == (data_dir / name).read_bytes() for name in names)


def test_nothing_is_written_where_there_is_data_already(data_dir: Path) -> None:
    with pytest.raises(FileExistsError, match="the directory already contains data"):
        write(DAYS, data_dir)


@pytest.mark.parametrize("plan", [SMALL, DAYS, HistoryPlan(signals=77, hours=0.1, markets=1, copies=30)])
def test_there_are_as_many_signals_as_asked_for_each_of_its_own_market_and_ms(plan: HistoryPlan) -> None:
    signals = frames(plan).signals
    assert len(signals) == signals["signal_id"].n_unique() == plan.signals
    assert set(signals["market_key"]) <= set(truths(plan))


def test_more_signals_than_the_markets_can_have_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        frames(HistoryPlan(signals=100_000, hours=0.1, markets=1))


def test_prices_have_five_significant_digits_at_most_and_sizes_three_decimals() -> None:
    followups = frames(SMALL).followups
    for name in ("oracle_px", "best_px", "bid_px", "ask_px", "mark_px"):
        assert followups[name].equals(followups[name].round_sig_figs(5), check_names=False), name
    for name in ("best_size", "bid_sz", "ask_sz"):
        assert followups[name].equals(followups[name].round(3), check_names=False), name
    assert (followups["bid_px"] < followups["ask_px"]).all()


def test_a_signal_reaches_its_threshold_at_its_markets_cost(large: Frames) -> None:
    assert (large.signals["raw_edge_bps"] >= large.signals["threshold_bps"]).all()
    for (market_key,), rows in large.signals.group_by("market_key"):
        cost_bps = rows["raw_edge_bps"] - rows["net_edge_bps"]
        assert np.allclose(cost_bps, truths(LARGE)[str(market_key)].cost_bps)


def test_an_oracle_without_a_tick_ages_and_does_not_move(large: Frames) -> None:
    stood = large.followups.filter(oracle_updates=0)
    assert len(stood) > 100_000
    assert (stood["oracle_moved_bps"] == 0).all()
    assert (stood["oracle_age_ms"] >= stood["offset_ms"]).all()
    assert (large.followups.filter(offset_ms=5000)["oracle_updates"] >= 1).all()


def test_the_edge_changes_by_the_moves_of_book_and_oracle(large: Frames) -> None:
    sign = pl.when(side="buy").then(1).otherwise(-1)
    shrunk = sign * (pl.col("market_moved_bps") - pl.col("oracle_moved_bps"))
    gone = large.followups.select((shrunk + pl.col("edge_change_bps")).abs().max()).item()
    assert gone < 5  # of second order: moves of up to 250 bps, edges of up to 80


def test_some_captures_are_ten_times_as_late_as_most(large: Frames) -> None:
    late_ms = large.followups["captured_at_ms"] - large.followups["due_at_ms"]
    assert 6 <= late_ms.median() <= 20
    assert late_ms.min() > 0
    assert late_ms.quantile(0.999) > 60


def test_about_the_wanted_share_is_missed_mostly_in_stretches() -> None:
    missed = frames(replace(SMALL, signals=60_000, hours=60, missed_share=0.02)).missed
    assert 0.01 < len(missed) / 180_000 < 0.03
    assert missed.filter(reason="feed_gap").height > 4 * missed.filter(reason="no_quote").height
    assert missed.filter(reason="feed_gap")["detail"].null_count() == 0


def test_markouts_equal_the_planted_ones(large: Frames) -> None:
    for market_key, market in truths(LARGE).items():
        for offset_ms, markout_bps in market.markout_bps.items():
            rows = large.followups.filter(market_key=market_key, offset_ms=offset_ms)
            mean, error = mean_and_error(rows, pl.col("markout_bps"))
            assert abs(mean - markout_bps) < MAX_Z * error, (market_key, offset_ms, mean, error)


def test_edges_shrink_as_often_as_was_planted(large: Frames) -> None:
    for market_key, market in truths(LARGE).items():
        for offset_ms, share in market.shrink_share.items():
            rows = large.followups.filter(market_key=market_key, offset_ms=offset_ms)
            mean, error = mean_and_error(rows, pl.col("edge_change_bps") < 0)
            assert abs(mean - share) < MAX_Z * error, (market_key, offset_ms, mean, error)


def test_a_real_market_pays_above_its_break_even_and_not_below(large: Frames) -> None:
    for market in truths(LARGE).values():
        if market.break_even_bps is not None:
            rows = orders_of(large, market).filter("is_had", offset_ms=5000)
            wide = pl.col("t0_raw_edge_bps") > market.break_even_bps + 2
            narrow = pl.col("t0_raw_edge_bps") < market.break_even_bps - 1
            assert rows.filter(wide)["round_trip_bps"].mean() > 0
            assert rows.filter(narrow)["round_trip_bps"].mean() < 0


def test_the_markout_of_a_real_market_grows_with_the_edge_as_planted(large: Frames) -> None:
    for market_key, market in truths(LARGE).items():
        rows = large.followups.filter(market_key=market_key, offset_ms=5000)
        wide = rows.filter(pl.col("t0_raw_edge_bps") >= 20)
        mean, error = mean_and_error(wide, pl.col("markout_bps"))
        expected = market.markout_bps_at(wide["t0_raw_edge_bps"].mean(), 5000)
        assert abs(mean - expected) < MAX_Z * error, (market_key, mean, error)


def test_as_many_orders_are_had_as_planted_and_their_round_trips_pay_as_planted(large: Frames) -> None:
    for market_key, market in truths(LARGE).items():
        orders = orders_of(large, market)
        mean, error = mean_and_error(orders, pl.col("is_had"))
        assert abs(mean - market.had_share) < MAX_Z * error, (market_key, mean, error)
        for offset_ms, round_trip_bps in market.round_trip_bps.items():
            rows = orders.filter("is_had", offset_ms=offset_ms)
            mean, error = mean_and_error(rows, pl.col("round_trip_bps"))
            assert abs(mean - round_trip_bps) < MAX_Z * error, (market_key, offset_ms, mean, error)


def test_the_markets_that_look_good_and_are_not_are_planted_so() -> None:
    for market in truths(LARGE).values():
        net_bps, trip_bps = market.markout_bps[5000] - market.cost_bps, market.round_trip_bps[5000]
        if market.kind is MarketKind.COSTLY:
            assert net_bps > 3
            assert trip_bps == pytest.approx(-5)
        elif market.kind is MarketKind.FLEETING:
            assert market.round_trip_at_t0_bps > 1
            assert trip_bps < -5


def test_a_fleeting_market_has_left_after_one_second(large: Frames) -> None:
    for market_key, market in truths(LARGE).items():
        if market.kind is MarketKind.FLEETING:
            rows = large.followups.filter(market_key=market_key, offset_ms=1000)
            assert rows["raw_edge_bps"].mean() < 0.2 * rows["t0_raw_edge_bps"].mean()


def test_a_structural_market_is_always_on_one_side(large: Frames) -> None:
    for (market_key,), rows in large.signals.group_by("market_key"):
        is_structural = truths(LARGE)[str(market_key)].kind is MarketKind.STRUCTURAL
        assert rows["side"].n_unique() == (1 if is_structural else 2)


def test_the_error_of_a_mean_is_far_larger_than_if_signals_were_independent(large: Frames) -> None:
    for market_key in truths(LARGE):
        rows = large.followups.filter(market_key=market_key, offset_ms=5000)
        _, error = mean_and_error(rows, pl.col("markout_bps"))
        assert error**2 > 5 * rows["markout_bps"].var() / len(rows), market_key


def test_markets_of_a_minute_move_together_and_neighbouring_minutes_do_not(large: Frames) -> None:
    noise = [name for name, market in truths(LARGE).items() if market.kind is MarketKind.NOISE]
    minutes = (
        large.followups.filter(pl.col("market_key").is_in(noise), offset_ms=5000)
        .group_by("market_key", minute=pl.col("signal_timestamp_ms") // 60_000)
        .agg(pl.col("markout_bps").mean().clip(-30, 30))
    )
    pairs = minutes.join(minutes, on="minute", suffix="_other").filter(
        pl.col("market_key") < pl.col("market_key_other")
    )
    after = minutes.with_columns(pl.col("minute") + 1)
    apart = minutes.join(after, on="minute", suffix="_other")
    together = pl.corr("markout_bps", "markout_bps_other")
    assert pairs.select(together).item() > 0.2
    assert abs(apart.select(together).item()) < 0.05
