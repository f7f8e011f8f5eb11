"""A made kept tape of live size: days of all markets, as a recorder would have left them once they are merged.

Oracles walk, quietly and at times wildly; books follow them late, so that the touch is through the oracle in bursts: in
32 markets that makes signals. The keyframes have what the product's detector remembers then.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.conditions import Memory
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.edge import Side, reaches
from hip3_tasks.domain.records import RulesInForce
from hip3_tasks.files.rules_log import note_rules, read_rules
from hip3_tasks.recording.merge import GROUP_ROWS, LEVEL
from hip3_tasks.tape.columns import SCHEMA, entry_of
from hip3_tasks.tape.pieces import TAPE, PieceInfo, day_path, write_piece

FIRST_DAY_MS = 1_790_000_000_000 // DAY_MS * DAY_MS
DAYS = 2
MARKETS = 148
STATES = 64_000_000
LIVELY = 32
"""Markets with signals, as in the published live run."""
CTX_PERIOD_MS, KEYFRAME_MS = 1_000, 30_000
CHANGED_CTX = 0.8
"""The share of ctx that bring another oracle or mark; the others change no state, and write no entry."""
WILD_SHARE, SPELL_CTX = 0.25, 40
"""The share of time in which an oracle moves wildly, and the length of such a spell."""
QUIET_BPS, WILD_BPS = 0.25, 10.0
"""Standard deviation of an oracle's move from one ctx to the next."""
WILD_BOOKS = 4
"""Books come this many times more often in a wild spell."""
TAKER_FEE_BPS, RULES = 9.0, Rules()


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a made tape."""

    days: int = DAYS
    markets: int = MARKETS
    states: int = STATES


def make(data_dir: Path, shape: Shape, *, seed: int = 22) -> None:
    """Write the days of a tape to an empty directory."""
    data_dir.mkdir(parents=True, exist_ok=True)
    note_rules(data_dir, RULES, from_ms=FIRST_DAY_MS)
    rules, detector = tuple(read_rules(data_dir)), Detector(RULES)
    for day in range(shape.days):
        _write_day(data_dir, FIRST_DAY_MS + day * DAY_MS, shape, rules, detector, np.random.default_rng([seed, day]))


def _write_day(
    data_dir: Path,
    from_ms: int,
    shape: Shape,
    rules: tuple[RulesInForce, ...],
    detector: Detector,
    random: np.random.Generator,
) -> None:
    weights = np.random.default_rng(shape.markets).lognormal(0, 0.6, shape.markets)
    books = shape.states / shape.days - shape.markets * DAY_MS * (CHANGED_CTX / CTX_PERIOD_MS + 1 / KEYFRAME_MS)
    files = []
    for number, weight in enumerate(weights / weights.sum()):
        coin, is_lively = (
            f"made:M{number:03}",
            number * LIVELY // shape.markets < (number + 1) * LIVELY // shape.markets,
        )
        rows = _rows(coin, from_ms, round(books * weight), is_lively, detector, random)
        files.append(data_dir / TAPE / f"{number}.part")
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(files[-1], compression="lz4")
    info = PieceInfo(from_ms=from_ms, until_ms=from_ms + DAY_MS - 1, rules=rules)
    rows = pl.concat(pl.scan_parquet(file, glob=False) for file in files)
    write_piece(day_path(data_dir, from_ms), rows, info, level=LEVEL, group_rows=GROUP_ROWS)
    for file in files:
        file.unlink()


def _rows(
    coin: str, from_ms: int, books: int, is_lively: bool, detector: Detector, random: np.random.Generator
) -> pl.DataFrame:
    """A market's day. A row is a ctx, a book or a keyframe; each shows the last oracle and the last book."""
    ctx_ms = np.arange(0, DAY_MS, CTX_PERIOD_MS) + random.integers(0, CTX_PERIOD_MS // 2, DAY_MS // CTX_PERIOD_MS)
    ctx_ms[0] = 0
    is_wild = np.repeat(random.random(-(-len(ctx_ms) // SPELL_CTX)) < WILD_SHARE * is_lively, SPELL_CTX)[: len(ctx_ms)]
    moves_bps = np.where(is_wild, WILD_BPS, QUIET_BPS) * random.standard_normal(len(ctx_ms))
    is_moved = (random.random(len(ctx_ms)) < 0.7) | is_wild
    start_px = 10 ** random.uniform(0, 3)
    tick_px = 10.0 ** (np.floor(np.log10(start_px)) - 4)
    oracles_px = _rounded(start_px * np.exp(np.cumsum(moves_bps * is_moved) / 1e4), tick_px / 10)
    oracle_ms = np.maximum.accumulate(np.where(is_moved, ctx_ms, 0))
    changed = np.flatnonzero(is_moved | (random.random(len(ctx_ms)) < (CHANGED_CTX - 0.7) / 0.3))
    density = np.where(is_wild, WILD_BOOKS, 1)
    seconds = random.choice(len(ctx_ms), books, p=density / density.sum())
    book_ms = np.sort(seconds * CTX_PERIOD_MS + random.integers(1, CTX_PERIOD_MS, books))
    frame_ms = np.arange(0, DAY_MS, KEYFRAME_MS)
    at_ms = np.concatenate([frame_ms, ctx_ms[changed], book_ms])
    kind = np.repeat([0, 1, 2], [len(frame_ms), len(changed), len(book_ms)])
    order = np.lexsort((kind, at_ms))
    at_ms, kind = at_ms[order], kind[order]

    ctx = np.maximum(np.searchsorted(ctx_ms, at_ms, side="right") - 1, 0)
    book = np.maximum.accumulate(np.where(kind == 2, np.arange(len(at_ms)), 0))
    late_ms = random.gamma(2.0, 700.0, len(at_ms))
    followed = np.maximum(np.searchsorted(ctx_ms, at_ms - late_ms, side="right") - 1, 0)
    mid_px = oracles_px[followed] * (1 + random.normal(0, 0.5, len(at_ms)) / 1e4)
    half_px = np.maximum(mid_px * random.choice([0.5, 1.0, 2.0, 4.0], len(at_ms)) / 1e4, tick_px / 2)
    bid_px, ask_px = _rounded(mid_px - half_px, tick_px), _rounded(mid_px + half_px, tick_px)
    ask_px = np.where(ask_px <= bid_px, bid_px + tick_px, ask_px)
    sizes = np.round(random.lognormal(2, 1.5, (2, len(at_ms))) + 0.001, 3)
    mids_px = _rounded((bid_px + ask_px) / 2, tick_px / 10)
    witness = book[np.searchsorted(at_ms, ctx_ms)[ctx].clip(max=len(at_ms) - 1)]
    lag_ms = random.gamma(8.0, 25.0, len(at_ms)).astype(np.int64)[book]
    columns: dict[str, np.ndarray] = {
        "at_ms": at_ms + from_ms,
        "seq": _places(at_ms),
        "bid_px": bid_px[book],
        "bid_sz": sizes[0][book],
        "ask_px": ask_px[book],
        "ask_sz": sizes[1][book],
        "oracle_px": oracles_px[ctx],
        "mark_px": _rounded(oracles_px[ctx] * (1 + random.normal(0, 1, len(ctx_ms))[ctx] / 1e4), tick_px / 10),
        "bbo_lag_ms": lag_ms,
        "bbo_age_ms": at_ms - at_ms[book],
        "oracle_at_ms": oracle_ms[ctx] + from_ms,
        "oracle_updates": np.cumsum(is_moved)[ctx] + from_ms // CTX_PERIOD_MS,
        "is_news": kind > 0,
        "has_lag": kind == 2,
        "ctx_age_ms": np.maximum(at_ms - ctx_ms[ctx], 0),
        "ctx_mid_px": mids_px[witness],
        "impact_bid_px": _rounded(bid_px - 3 * tick_px, tick_px)[witness],
        "impact_ask_px": _rounded(ask_px + 3 * tick_px, tick_px)[witness],
    }
    threshold_bps = RULES.threshold_bps(coin, TAKER_FEE_BPS)
    fixed = {"coin": coin, "gap": None, "is_judged": True, "is_doubted": False, "taker_fee_bps": TAKER_FEE_BPS}
    fixed |= {"threshold_bps": threshold_bps, "ctx_period_ms": 3_000, "ctx_limit_ms": 8_000}
    trigger = pl.Series(["bbo", "bbo", "ctx"]).gather(np.where(kind == 1, 2, 0))
    rows = pl.DataFrame(columns).with_columns(trigger=trigger, is_keyframe=False)
    rows = rows.with_columns(pl.lit(value).alias(name) for name, value in fixed.items())
    present = [pl.col(name) if name in rows.columns else pl.lit(None).alias(name) for name in SCHEMA]
    rows = rows.select(present).cast(SCHEMA)  # type: ignore[arg-type]
    return _with_memory(rows, kind == 0, detector)


def _with_memory(rows: pl.DataFrame, is_keyframe: np.ndarray, detector: Detector) -> pl.DataFrame:
    """The rows with the memory of a detector that has seen each of them, in its keyframes."""
    prices = {"oracle_px": pl.col("oracle_px"), "threshold_bps": pl.col("threshold_bps")}
    is_through = reaches(Side.BUY, touch_px=pl.col("ask_px"), **prices)
    is_through |= reaches(Side.SELL, touch_px=pl.col("bid_px"), **prices)
    is_shown = is_keyframe | rows.select(is_through).to_series().to_numpy()
    memories: list[Memory] = []
    for has_memory, row in zip(is_keyframe[is_shown].tolist(), rows.filter(is_shown).iter_rows(), strict=True):
        if has_memory:
            memories.append(detector.memory(row[0]))
        detector.observe(row[0], entry_of(row))
    places = np.flatnonzero(is_keyframe)
    columns = [pl.Series("is_keyframe", is_keyframe)]
    for side in Side:
        fired = [memory.fired.get(side, (None, None)) for memory in memories]
        for index, name in enumerate((f"fired_{side}_at_ms", f"fired_{side}_oracle_px")):
            values = pl.Series([value[index] for value in fired], dtype=SCHEMA[name])
            columns.append(
                pl.Series(name, pl.repeat(None, len(rows), dtype=SCHEMA[name], eager=True)).scatter(places, values)
            )
    return rows.with_columns(columns)


def _rounded(px: np.ndarray, tick_px: float) -> np.ndarray:
    """Prices at their tick, as the doubles of what the venue writes."""
    digits = max(0, -int(np.floor(np.log10(tick_px))))
    return np.round(np.round(px / tick_px) * tick_px, digits)


def _places(at_ms: np.ndarray) -> np.ndarray:
    """The place of each entry among those of its millisecond."""
    return np.arange(len(at_ms)) - np.searchsorted(at_ms, at_ms, side="left")
