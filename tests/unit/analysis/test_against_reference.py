"""Every number of a report, compared with a slow computation from the definitions."""

import random
from collections.abc import Callable
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.analysis.loading import load as loading
from hip3_tasks.analysis.loading.load import load
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.model import Coverage
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap
from hip3_tasks.errors import Unavailable
from hip3_tasks.tape.pieces import minute_path
from tests.reference.report import slow_report
from tests.support.factories import a_followup, a_market, a_missed, a_signal
from tests.support.generators import MINUTE_MS, Directory, outcomes, signals
from tests.support.kept_tapes import keep
from tests.support.tapes import news

AT_MS = 1_795_900_000_000
MIDNIGHT_MS = 1_795_392_000_000
"""The midnight between 2026-11-22, a Sunday, and 2026-11-23."""
T0_PX = a_signal().best_px
BAND = {"low", "high", "low_s", "high_s"}


def a_few(path: Path) -> tuple[Path, ...]:
    """Too few clusters for any band; each unusual case once."""
    directory, chance = Directory(path), random.Random(1)
    for signal in signals(chance, ["xyz:TSLA", "xyz:NVDA", "para:BANKS"], from_ms=MIDNIGHT_MS - 300_000, minutes=8):
        directory.add(signal, *outcomes(signal, chance))
    for index, edge_bps in enumerate([0.0, -0.5, -3.0, 5.0, 7.5, 50.0]):
        odd = a_signal("io:ODD", at_ms=MIDNIGHT_MS + index, raw_edge_bps=edge_bps, net_edge_bps=edge_bps - 10.0)
        directory.add(odd, *outcomes(odd, chance, one_sided=0.5))
    twice = a_signal("xyz:TWICE", at_ms=MIDNIGHT_MS + 77, side=Side.SELL)
    directory.add(twice, twice, a_followup(twice), a_followup(twice), a_missed(twice), a_missed(twice, 3000))
    directory.add(a_signal("xyz:OPEN", at_ms=MIDNIGHT_MS + 78, raw_edge_bps=12.0))
    with directory.file(twice).open("ab") as file:
        file.write(b'\n{"torn in\n{"torn":')
    return (path,)


def two_days(path: Path) -> tuple[Path, ...]:
    """Enough data for bands and thresholds; two dexes, two directories, different thresholds, all sessions."""
    chance = random.Random(2)
    path.mkdir()
    first, second = Directory(path / "one"), Directory(path / "other")
    for coin, directory, mid_bps, thresholds_bps in (
        ("xyz:TSLA", first, 24.0, (6.9, 6.0, 6.5)),
        ("xyz:NVDA", first, 12.0, (6.0, 6.5, 6.2)),
        ("para:BANKS", second, -6.0, (5.0, 5.5, 6.0)),
    ):
        for number, signal in enumerate(signals(chance, [coin], from_ms=MIDNIGHT_MS - 80 * MINUTE_MS, minutes=150)):
            signal = signal.model_copy(update={"threshold_bps": thresholds_bps[number % 3]})
            directory.add(signal, *outcomes(signal, chance, mid_bps=mid_bps))
    for signal in signals(chance, ["xyz:RARE"], from_ms=MIDNIGHT_MS, minutes=12, threshold_bps=0.0):
        first.add(signal, *outcomes(signal, chance))
    for signal in signals(chance, ["xyz:OFFSET"], from_ms=MIDNIGHT_MS - 60 * MINUTE_MS, minutes=120, side=Side.BUY):
        stands = {"raw_edge_bps": signal.raw_edge_bps, "edge_change_bps": 0.0, "markout_bps": 0.0}
        first.add(signal, *(a_followup(signal, offset_ms, **stands) for offset_ms in signal.offsets_ms))
    for minute in range(5, 25):  # one of them ends at the split
        signal = a_signal("xyz:TSLA", at_ms=MIDNIGHT_MS + minute * MINUTE_MS - 2000, threshold_bps=6.9)
        first.add(signal, *outcomes(signal, chance, missed=0.0, one_sided=0.0))
    return first.path, second.path, first.path


def foreign(path: Path) -> tuple[Path, ...]:
    """Files of another program: no markouts, no thresholds, no expected follow-ups."""
    directory, chance = Directory(path, foreign=True), random.Random(3)
    for signal in signals(chance, ["xyz:TSLA", "xyz:NVDA"], from_ms=MIDNIGHT_MS - 15 * MINUTE_MS, minutes=30):
        directory.add(signal, *outcomes(signal, chance, missed=0.0))
    return (path,)


def partly_foreign(path: Path) -> tuple[Path, ...]:
    """Files of this program and of another; some markets lack signals, or follow-ups at the longest offset."""
    path.mkdir()
    chance = random.Random(4)
    ours, theirs = Directory(path / "ours"), Directory(path / "theirs", foreign=True)
    for signal in signals(chance, ["xyz:TSLA", "para:BANKS"], from_ms=MIDNIGHT_MS, minutes=40):
        ours.add(signal, *outcomes(signal, chance, one_sided=0.8 if signal.market_key == "para:BANKS" else 0.0))
    for signal in signals(chance, ["xyz:NVDA", "mkts:NONE"], from_ms=MIDNIGHT_MS, minutes=25):
        records = outcomes(signal, chance, missed=0.0)
        theirs.add(*([signal, *records] if signal.market_key == "xyz:NVDA" else records[:1]))
    return ours.path, theirs.path


def taped(path: Path) -> tuple[Path, ...]:
    """A directory with a tape that has gaps, empty sides and a hole; and one without a tape."""
    path.mkdir()
    chance, coins = random.Random(5), ["xyz:TSLA", "para:BANKS"]
    first, second = Directory(path / "one"), Directory(path / "other")
    from_ms = MIDNIGHT_MS - 20 * MINUTE_MS
    for signal in signals(chance, coins, from_ms=from_ms, minutes=45):
        first.add(signal, *outcomes(signal, chance))
    for signal in signals(chance, ["xyz:NVDA"], from_ms=from_ms, minutes=30):
        second.add(signal, *outcomes(signal, chance))
    keep(first.path, {coin: a_tape(chance, from_ms=from_ms, until_ms=MIDNIGHT_MS + 20 * MINUTE_MS) for coin in coins})
    for minute in (-9, -8, 7):
        minute_path(first.path, MIDNIGHT_MS + minute * MINUTE_MS).unlink()
    return first.path, second.path


def a_tape(chance: random.Random, *, from_ms: int, until_ms: int) -> list[Entry]:
    """A market that often stands still and sometimes is not known, with keyframes at the start of each minute."""
    entries, at_ms, market = list[Entry](), from_ms, a_market()
    while at_ms < until_ms:
        move = chance.random()
        if move < 0.02:
            entries.append(Entry(at_ms, Gap("test")))
        else:
            ask_px = None if move < 0.04 else round(T0_PX * (1 + chance.choice([-3, 0, 0, 4]) / 1e4), 3)
            bid_px = None if 0.04 < move < 0.06 else round(T0_PX * (1 - chance.choice([2, 3, 8]) / 1e4), 3)
            ask_sz = None if ask_px is None else chance.choice([0.01, 3.0])
            bid_sz = None if bid_px is None else chance.choice([0.01, 3.0])
            market = replace(market, bid_px=bid_px, bid_sz=bid_sz, ask_px=ask_px, ask_sz=ask_sz)
            entries.append(news(market, at_ms=at_ms))
        at_ms = min(at_ms + chance.choice([0, 40, 300, 900, 2500]), (at_ms // MINUTE_MS + 1) * MINUTE_MS)
    return entries


MADE = [a_few, two_days, foreign, partly_foreign, taped]


@pytest.mark.parametrize("by", By)
@pytest.mark.parametrize("made", [a_few, foreign, partly_foreign, taped])
def test_every_number_follows_from_the_definitions(
    made: Callable[[Path], tuple[Path, ...]], by: By, tmp_path: Path
) -> None:
    dirs = made(tmp_path / "data")
    agree(dirs, by=by, cost_bps=None)


@pytest.mark.parametrize("by", [(By.MARKET, By.ORACLE_AGE), (By.TRIGGER, By.MARKET), (By.SIDE, By.SIZE)])
@pytest.mark.parametrize("made", [a_few, partly_foreign])
def test_every_number_of_two_properties_follows_from_the_definitions(
    made: Callable[[Path], tuple[Path, ...]], by: tuple[By, By], tmp_path: Path
) -> None:
    agree(made(tmp_path / "data"), by=by, cost_bps=None)


@pytest.mark.parametrize(("by", "cost_bps"), [(By.MARKET, None), (By.SESSION, 4.0)])
def test_every_number_of_two_days_follows_from_the_definitions(by: By, cost_bps: float | None, tmp_path: Path) -> None:
    report = agree(two_days(tmp_path / "data"), by=by, cost_bps=cost_bps)
    assert report["total"]["horizons"][0]["net_bps"]["low"] is not None
    verdicts = {choice["verdict"] for choice in report["search"]["choices"]}
    proven = {"works", "loses", "structural", "too few"}
    assert verdicts == (proven | {"unproven"} if cost_bps is None else proven)


@pytest.mark.parametrize("by", By)
def test_the_report_is_the_same_however_follow_ups_are_divided(
    by: By, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CHUNK_ROWS", 7)
    data = load(*partly_foreign(tmp_path / "data"))
    assert len(data.chunks) > 40
    agree((tmp_path / "data" / "ours", tmp_path / "data" / "theirs"), by=by, cost_bps=None)


def test_without_follow_ups_there_is_nothing_to_report_on(tmp_path: Path) -> None:
    Directory(tmp_path).add(a_signal(), a_missed())
    with pytest.raises(Unavailable, match="no follow-up of 1 signals"):
        build_report(load(tmp_path), by=By.MARKET, cost_bps=None, at_ms=AT_MS)


@pytest.mark.parametrize("by", By)
def test_follow_ups_without_their_signals_are_reported(by: By, tmp_path: Path) -> None:
    Directory(tmp_path).add(a_followup(), a_followup(offset_ms=5000))
    coverage = Coverage.model_validate(agree((tmp_path,), by=by, cost_bps=None)["coverage"])
    assert (coverage.unowed, coverage.open) == (2, None)


def agree(dirs: tuple[Path, ...], *, by: By | tuple[By, ...], cost_bps: float | None) -> Any:
    actual = build_report(load(*dirs), by=by, cost_bps=cost_bps, at_ms=AT_MS).model_dump(mode="json")
    expected = slow_report(*dirs, by=by if isinstance(by, By) else ",".join(by), cost_bps=cost_bps, at_ms=AT_MS)
    differences = [*differing(actual, expected)]
    assert not differences, "\n".join(differences[:20])
    return actual


def differing(actual: Any, expected: Any, path: str = "report") -> list[str]:
    """The places where two trees differ: in keys, lengths, types or numbers."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if actual.keys() != expected.keys():
            return [f"{path}: {sorted(actual.keys() ^ expected.keys())} in one only"]
        return [line for key in expected for line in differing(actual[key], expected[key], f"{path}.{key}")]
    if isinstance(expected, list) and isinstance(actual, list):
        if len(actual) != len(expected):
            return [f"{path}: {len(actual)} and {len(expected)} entries"]
        pairs = enumerate(zip(actual, expected, strict=True))
        return [line for index, pair in pairs for line in differing(*pair, f"{path}[{index}]")]
    if isinstance(expected, int | float) and isinstance(actual, int | float):
        tolerance = 1e-6 if path.rpartition(".")[2] in BAND else 1e-9
        if isclose(actual, expected, rel_tol=tolerance, abs_tol=tolerance * 1e-3) and isinstance(
            actual, bool
        ) == isinstance(expected, bool):
            return []
    elif actual == expected:
        return []
    return [f"{path}: {actual!r}, expected {expected!r}"]
