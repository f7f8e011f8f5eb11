"""Data directories as three tidy frames."""

import json
import os
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.loading import load as loading
from hip3_tasks.analysis.loading.load import Data, load, read
from hip3_tasks.analysis.loading.schemas import FOLLOWUPS, MISSED, SCHEMAS, SIGNALS, columns_of
from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.loading.sources import list_sources
from hip3_tasks.audit.audit import audit
from hip3_tasks.audit.findings import Fault
from hip3_tasks.audit.recompute import is_too_large
from hip3_tasks.domain.capture import MAX_OFFSET_MS
from hip3_tasks.domain.edge import Side, moved_bps
from hip3_tasks.domain.records import Dark, Followed, Followup, MissedReason, Record
from hip3_tasks.errors import BadSelection, MalformedRecord, Unavailable
from tests.support.factories import DAY, T0_MS, a_followup, a_missed, a_signal
from tests.support.generators import Directory

DAY_MS = 86_400_000
MIDNIGHT_MS = T0_MS // DAY_MS * DAY_MS
"""The start of DAY."""
PARQUET_OF = {"signals": SIGNALS, "followups": FOLLOWUPS, "missed": MISSED}


def changed(record: Record, **changes: Any) -> bytes:
    """The record's line with some values changed; ... leaves a field out."""
    values = json.loads(record.line()) | changes
    return json.dumps({name: value for name, value in values.items() if value is not ...}).encode() + b"\n"


def write(data_dir: Path, kind: str, *lines: bytes, day: str = DAY) -> Path:
    path = data_dir / f"{kind}_{day}.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def compact(data_dir: Path, day: str = DAY, kinds: tuple[str, ...] = ("signals", "followups", "missed")) -> None:
    """Write the Parquet of a closed day: every field of its lines, under its name, with its type."""
    for kind in kinds:
        path = data_dir / f"{kind}_{day}.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        frame = pl.DataFrame([json.loads(line) for line in lines], schema=columns_of(PARQUET_OF[kind].record))
        frame.write_parquet(path.with_suffix(".parquet"))


def same(data: Data, other: Data) -> bool:
    frames = ((data.signals, other.signals), (data.followups, other.followups), (data.missed, other.missed))
    return all(first.equals(second) for first, second in frames)


def test_the_frames_have_the_documented_columns(tmp_path: Path) -> None:
    sell = a_signal("para:BANKS", side=Side.SELL, at_ms=T0_MS + 5)
    Directory(tmp_path).add(a_signal(), sell, a_followup(), a_followup(sell, 3000), a_missed(sell, 5000))
    data = load(tmp_path)
    assert data.signals.to_dicts() == [
        {
            "market_key": signal.market_key,
            "side": signal.side.value,
            "timestamp_ms": signal.timestamp_ms,
            "raw_edge_bps": signal.raw_edge_bps,
            "cost_bps": 10.0,
            "threshold_bps": 15.0,
            "expected": 3,
            "taker_fee_bps": 9.0,
            "touch_usd": signal.best_px * signal.best_size,
            "oracle_age_ms": 900,
            "lag_ms": 250,
            "spread_bps": pytest.approx(signal_spread_bps, abs=1e-4),
            "trigger": "bbo",
            "best_px": signal.best_px,
            "timestamp": datetime.fromtimestamp(signal.timestamp_ms / 1000, UTC),
            "signal_id": signal.signal_id,
        }
        for signal, signal_spread_bps in ((a_signal(), 0.5 / 249.25 * 1e4), (sell, 0.5 / 250.75 * 1e4))
    ]
    expected = a_followup(sell, 3000)
    assert data.followups.row(1, named=True) == {
        "market_key": "para:BANKS",
        "side": "sell",
        "signal_timestamp_ms": T0_MS + 5,
        "offset_ms": 3000,
        "lateness_ms": 3,
        "t0_raw_edge_bps": expected.t0_raw_edge_bps,
        "raw_edge_bps": expected.raw_edge_bps,
        "market_part_bps": -expected.market_moved_bps,
        "oracle_part_bps": expected.oracle_moved_bps,
        "markout_bps": expected.markout_bps,
        "exit_move_bps": -moved_bps(from_px=expected.t0_best_px, to_px=expected.ask_px or 0),
        "touch_usd": expected.best_px * expected.best_size,
        "exit_usd": (expected.ask_px or 0) * (expected.ask_sz or 0),
        "signal_timestamp": datetime.fromtimestamp(sell.timestamp_ms / 1000, UTC),
        "signal_id": sell.signal_id,
    }
    assert data.followups["market_part_bps"].to_list() == pytest.approx([10.02, 9.98], abs=0.01)
    instant = datetime.fromtimestamp(sell.timestamp_ms / 1000, UTC)
    assert data.missed.rows() == [("para:BANKS", "sell", T0_MS + 5, 5000, "feed_gap", instant, sell.signal_id)]
    assert data.followups.join(data.signals, on="signal_id").height == 2
    assert data.notes.sentences() == []


@pytest.mark.parametrize("argument", ["all_fields", "whole"])
@pytest.mark.parametrize("is_compacted", [False, True])
def test_all_fields_have_the_values_of_the_line(is_compacted: bool, argument: str, tmp_path: Path) -> None:
    records = [a_signal(), a_followup(markout_bps=None), a_missed(offset_ms=3000, reason=MissedReason.NO_QUOTE)]
    Directory(tmp_path).add(*records)
    if is_compacted:
        compact(tmp_path)
    data = load(tmp_path, **{argument: True})
    for record, frame in zip(records, (data.signals, data.followups, data.missed), strict=True):
        (row,) = frame.to_dicts()
        values = json.loads(record.line())
        assert {name: row[name] for name in values} == values


def test_optional_fields_may_be_missing(tmp_path: Path) -> None:
    first_sixteen = list(Followup.model_fields)[:16]
    later = {name: ... for name in Followup.model_fields if name not in first_sixteen}
    write(
        tmp_path,
        "signals",
        changed(a_signal(), threshold_bps=..., offsets_ms=...),
        changed(a_signal(at_ms=T0_MS + 1), strange=[{"a": 1}]),
    )
    write(tmp_path, "followups", changed(a_followup(), **later), changed(a_followup(offset_ms=3000), strange="x"))
    data = load(tmp_path)
    assert data.signals.select("threshold_bps", "expected").rows() == [(None, None), (15.0, 3)]
    assert data.followups["markout_bps"].null_count() == 1
    assert data.notes.broken == 0


@pytest.mark.parametrize(
    ("kind", "record", "name"),
    [
        (kind.name, record, name)
        for kind, record in zip(SCHEMAS, (a_signal(), a_followup(), a_missed()), strict=True)
        for name in ("signal_id", *kind.required)
    ],
)
@pytest.mark.parametrize("value", [None, ...])
def test_a_line_without_a_required_field_is_broken(
    kind: str, record: Record, name: str, value: Any, tmp_path: Path
) -> None:
    Directory(tmp_path).add(a_signal("io:BESIDE"))
    path = write(tmp_path, kind, record.line(), changed(record, **{name: value}))
    (quality,) = [file for file in load(tmp_path).notes.files if file.file == path.resolve()]
    assert (quality.rows, quality.broken, quality.broken_lines) == (1, 1, [2])


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "hold"},
        {"side": "Buy"},
        {"signal_timestamp_ms": 999_999_999_999},
        {"signal_timestamp_ms": 10**13},
        {"signal_timestamp_ms": T0_MS + 0.5},
        {"offset_ms": 0},
        {"offset_ms": -1000},
        {"offset_ms": MAX_OFFSET_MS + 1},
        {"offset_ms": 1000.5},
        {"captured_at_ms": 1e300},
        {"captured_at_ms": -(10**25)},
        {"captured_at_ms": T0_MS + 0.25},
        {"raw_edge_bps": True},
        {"raw_edge_bps": "12.5"},
        {"raw_edge_bps": [12.5]},
        {"captured_at_ms": {}},
        {"markout_bps": "12.5"},
        {"raw_edge_bps": float("nan")},
        {"raw_edge_bps": float("inf")},
        {"raw_edge_bps": 1e308},
        {"oracle_moved_bps": -1.1e9},
        {"markout_bps": 1.1e9},
    ],
)
@pytest.mark.parametrize("all_fields", [False, True])
def test_a_line_with_an_impossible_value_is_broken(changes: dict[str, Any], all_fields: bool, tmp_path: Path) -> None:
    write(tmp_path, "followups", a_followup(offset_ms=3000).line(), changed(a_followup(), **changes))
    data = load(tmp_path, all_fields=all_fields)
    assert (data.followups.height, data.notes.files[0].broken_lines) == (1, [2])
    assert data.notes.sentences() == [f"followups_{DAY}.jsonl: 1 broken lines left out (line 2)"]


def test_the_limits_themselves_are_valid(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"signal_timestamp_ms": 10**12},
        {"signal_timestamp_ms": 10**13 - 1},
        {"offset_ms": 1},
        {"offset_ms": MAX_OFFSET_MS},
        {"offset_ms": 2000.0},
    ]
    lines = [changed(a_followup(), signal_id=f"x:Y-{index}", **change) for index, change in enumerate(changes)]
    write(tmp_path, "followups", *lines)
    assert load(tmp_path).followups.height == len(changes)


def test_a_number_too_large_for_its_column_is_null_if_it_is_optional(tmp_path: Path) -> None:
    write(tmp_path, "followups", changed(a_followup(), oracle_updates=10**25, bbo_age_ms=1e300))
    (row,) = load(tmp_path, all_fields=True).followups.to_dicts()
    assert (row["oracle_updates"], row["bbo_age_ms"]) == (None, None)


def test_the_first_of_many_broken_lines_are_named(tmp_path: Path) -> None:
    write(tmp_path, "followups", *[b"{}\n"] * 7, a_followup().line())
    data = load(tmp_path)
    assert data.notes.sentences() == [f"followups_{DAY}.jsonl: 7 broken lines left out (line 1, 2, 3, 4, 5, ...)"]
    assert data.followups.height == 1


def test_a_torn_tail_is_left_out_and_reported(tmp_path: Path) -> None:
    write(tmp_path, "followups", a_followup().line(), a_followup(offset_ms=3000).line()[:-1])
    data = load(tmp_path)
    assert data.followups.height == 1
    assert "bytes left out of a line that is being written" in data.notes.sentences()[0]


@pytest.mark.parametrize("content", [b"", b"torn"])
def test_a_file_without_a_line_is_no_error(content: bytes, tmp_path: Path) -> None:
    write(tmp_path, "signals", content)
    write(tmp_path, "followups", a_followup().line())
    data = load(tmp_path)
    assert (data.signals.height, data.followups.height) == (0, 1)
    assert data.signals.columns == [
        "market_key",
        "side",
        "timestamp_ms",
        "raw_edge_bps",
        "cost_bps",
        "threshold_bps",
        "expected",
        "taker_fee_bps",
        "touch_usd",
        "oracle_age_ms",
        "lag_ms",
        "spread_bps",
        "trigger",
        "best_px",
        "timestamp",
        "signal_id",
    ]


# Missing or unreadable files.


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=f"{tmp_path}: no signals_, followups_ or missed_YYYY-MM-DD"):
        load(tmp_path)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    Directory(tmp_path).add(a_followup())
    with pytest.raises(Unavailable, match="none: No such file or directory"):
        load(tmp_path, tmp_path / "none")


def test_a_file_in_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Not a directory"):
        load(write(tmp_path, "followups", a_followup().line()))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_directory_named_like_a_data_file_is_an_error(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"followups_{DAY}.{suffix}").mkdir()
    with pytest.raises(Unavailable, match=f"followups_{DAY}.{suffix}: "):
        load(tmp_path)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "followups", a_followup().line())

    open_ = os.open

    def refuse(opened: Path, *rest: int) -> int:
        if opened == path:
            raise PermissionError(13, "Permission denied")
        return open_(opened, *rest)

    monkeypatch.setattr("hip3_tasks.analysis.loading.jsonl.os.open", refuse)
    with pytest.raises(Unavailable, match=f"{path.name}: Permission denied"):
        load(tmp_path)


def test_a_file_that_is_gone_is_reported_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path, "followups", a_followup().line())
    (tmp_path / f"signals_{DAY}.jsonl").symlink_to("nowhere")
    data = load(tmp_path)
    assert data.followups.height == 1
    assert data.notes.sentences() == [f"signals_{DAY}.jsonl: deleted or compacted while it was read; run this again"]


def test_files_of_other_names_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, "followups", a_followup().line())
    for name in (
        "followups_2026-13-45.jsonl",
        "followups_2026-02-30.jsonl",
        "xfollowups_2026-11-22.jsonl",
        "followups_2026-11-22.jsonl.gz",
        "followups_２０２６-11-22.jsonl",
    ):
        (tmp_path / name).write_bytes(b"not a record\n")
    data = load(tmp_path)
    assert [file.file.name for file in data.notes.files] == [f"followups_{DAY}.jsonl"]


# Duplicate records.


def test_repeated_lines_of_a_record_are_left_out_and_counted(tmp_path: Path) -> None:
    Directory(tmp_path).add(a_signal(), a_followup(), a_missed(offset_ms=3000))
    other = a_followup(captured_at_ms=T0_MS + 9999)
    Directory(tmp_path).add(a_signal(), other, other, a_missed(offset_ms=3000, reason=MissedReason.EXPIRED))
    data = load(tmp_path)
    assert (data.signals.height, data.followups.height, data.missed.height) == (1, 1, 1)
    assert data.followups["lateness_ms"].to_list() == [3]
    assert data.missed["reason"].to_list() == ["feed_gap"]
    assert data.notes.duplicates == {"signals": 1, "followups": 2, "missed": 1}
    assert "2 repeated lines of followups left out" in data.notes.sentences()


def test_a_day_copied_to_another_directory_counts_once(tmp_path: Path) -> None:
    first, second = Directory(tmp_path / "first"), Directory(tmp_path / "second")
    for directory in (first, second):
        directory.add(a_signal(), a_followup(), a_missed(offset_ms=3000))
    second.add(a_followup(offset_ms=5000))
    data = load(first.path, second.path)
    assert (data.signals.height, data.followups.height, data.missed.height) == (1, 2, 1)
    assert data.notes.duplicates == {"signals": 1, "followups": 1, "missed": 1}
    compact(first.path)
    assert same(load(first.path, second.path), data)


def test_a_capture_both_captured_and_missed_counts_as_captured(tmp_path: Path) -> None:
    Directory(tmp_path).add(a_followup(), a_missed(), a_missed(offset_ms=3000))
    data = load(tmp_path)
    assert (data.followups.height, data.missed["offset_ms"].to_list()) == (1, [3000])
    assert data.notes.duplicates == {"missed": 1}


def test_a_directory_given_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory(tmp_path / "data")
    directory.add(a_signal(), a_followup())
    (tmp_path / "link").symlink_to(directory.path)
    monkeypatch.chdir(tmp_path)
    data = load(directory.path, tmp_path / "link", "data", "link/../data/.")
    assert data.notes.duplicates == {}
    assert data.notes.dirs == [directory.path.resolve()]
    assert len(data.notes.files) == 2


@given(
    st.lists(st.tuples(st.sampled_from(["xyz:A", "xyz:B", "io:A"]), st.integers(0, 3), st.sampled_from([1, 2, 1024])))
)
def test_signal_and_offset_distinguish_follow_ups(tmp_path_factory: pytest.TempPathFactory, keys: list[Any]) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    lines = [
        a_followup(a_signal(coin, at_ms=T0_MS + ms)).line().replace(b"1000,", b"%d," % offset_ms, 1)
        for coin, ms, offset_ms in keys
    ]
    write(data_dir, "followups", *lines)
    data = load(data_dir)
    assert data.followups.height == len(set(keys))


# Compacted days.


def test_the_parquet_of_a_closed_day_is_read(tmp_path: Path) -> None:
    Directory(tmp_path).add(a_signal(), a_followup(), a_missed(offset_ms=3000))
    from_lines = load(tmp_path)
    compact(tmp_path)
    for kind in PARQUET_OF:
        write(tmp_path, kind, b"not read\n")
    data = load(tmp_path)
    assert same(data, from_lines)
    assert {file.file.suffix for file in data.notes.files} == {".parquet"}
    assert data.notes.sentences() == []


@pytest.mark.parametrize("kinds", [("signals",), ("missed",), ("signals", "missed")])
def test_before_the_follow_ups_are_compacted_the_day_is_not_closed(kinds: tuple[str, ...], tmp_path: Path) -> None:
    Directory(tmp_path).add(a_signal(), a_followup(), a_missed(offset_ms=3000))
    for kind in kinds:
        (tmp_path / f"{kind}_{DAY}.parquet").write_bytes(b"half of one")
    data = load(tmp_path)
    assert (data.signals.height, data.followups.height, data.missed.height) == (1, 1, 1)
    assert {file.file.suffix for file in data.notes.files} == {".jsonl"}


def test_one_day_may_be_closed_and_the_next_open(tmp_path: Path) -> None:
    tomorrow = a_signal(at_ms=T0_MS + DAY_MS)
    directory = Directory(tmp_path)
    directory.add(a_signal(), a_followup())
    compact(tmp_path)
    directory.add(tomorrow, a_followup(tomorrow))
    data = load(tmp_path)
    assert data.signals["timestamp_ms"].to_list() == [T0_MS, T0_MS + DAY_MS]
    assert data.followups.height == 2


@pytest.mark.parametrize("name", ["a[1]", "a*b", "coin=TSLA", "ä ö"])
def test_a_directory_may_have_any_name(name: str, tmp_path: Path) -> None:
    directory = Directory(tmp_path / name)
    directory.add(a_signal(), a_followup())
    compact(directory.path)
    assert load(directory.path).followups.height == 1


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"PAR1 and no more PAR1", b"\x00" * 5000, "cut", "columns"])
def test_a_damaged_parquet_is_an_error(damage: bytes | str, tmp_path: Path) -> None:
    Directory(tmp_path).add(a_signal(), a_followup())
    compact(tmp_path)
    path = tmp_path / f"followups_{DAY}.parquet"
    if damage == "columns":
        pl.DataFrame({"signal_id": ["x"]}).write_parquet(path)
    else:
        path.write_bytes(path.read_bytes()[:-50] if isinstance(damage, str) else damage)
    with pytest.raises(Unavailable, match=f"followups_{DAY}.parquet: not a Parquet file of followups"):
        load(tmp_path)


def test_damage_found_only_while_rows_are_read_is_an_error(tmp_path: Path) -> None:
    Directory(tmp_path).add(*(a_followup(a_signal(at_ms=T0_MS + ms)) for ms in range(100)))
    compact(tmp_path)
    path = tmp_path / f"followups_{DAY}.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * (len(content) // 2) + content[4 + len(content) // 2 :])
    with pytest.raises(Unavailable, match=f"followups_{DAY}.parquet: not a Parquet file of followups"):
        load(tmp_path)


@pytest.mark.parametrize("chunk_rows", [1, 3, 1000])
def test_compacted_follow_ups_are_read_in_chunks(
    chunk_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CHUNK_ROWS", chunk_rows)
    Directory(tmp_path).add(*(a_followup(a_signal(at_ms=T0_MS + ms)) for ms in range(7)))
    compact(tmp_path)
    data = load(tmp_path)
    assert len(data.chunks) == -(-7 // chunk_rows) + 1  # the last one: the rows that are not compacted, none here
    assert data.followups["signal_timestamp_ms"].to_list() == [T0_MS + ms for ms in range(7)]


# Selection.


@pytest.mark.parametrize("is_compacted", [False, True])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"date": DAY}, [0, 1, DAY_MS - 1]),
        ({"since": DAY}, [0, 1, DAY_MS - 1, DAY_MS]),
        ({"until": DAY}, [-1]),
        ({"since": f"{DAY}T00:00:00.001", "until": "2026-11-23"}, [1, DAY_MS - 1]),
        ({"since": f"{DAY}T02:00+02:00", "until": f"{DAY}T00:00:00.001Z"}, [0]),
        ({"coins": ["io:A"]}, [1]),
        ({"coins": ["io:A", "xyz:TSLA"], "until": DAY}, [-1]),
        ({"coins": ["io:A", "io:A"]}, [1]),
        ({"coins": ["io:NONE"]}, []),
    ],
)
def test_a_selection_begins_and_ends_exactly(
    options: dict[str, Any], expected: list[int], is_compacted: bool, tmp_path: Path
) -> None:
    directory = Directory(tmp_path)
    for at_ms, coin in ((-1, "xyz:TSLA"), (0, "xyz:TSLA"), (1, "io:A"), (DAY_MS - 1, "xyz:TSLA"), (DAY_MS, "xyz:TSLA")):
        signal = a_signal(coin, at_ms=MIDNIGHT_MS + at_ms)
        directory.add(signal, a_followup(signal), a_missed(signal, 3000))
    if is_compacted:
        for day in ("2026-11-21", DAY, "2026-11-23"):
            compact(tmp_path, day)
    data = load(tmp_path, **options)
    for frame, name in (
        (data.signals, "timestamp_ms"),
        (data.followups, "signal_timestamp_ms"),
        (data.missed, "signal_timestamp_ms"),
    ):
        assert (frame[name] - MIDNIGHT_MS).to_list() == expected


@pytest.mark.parametrize("is_compacted", [False, True])
def test_a_coin_without_any_record_is_reported_with_the_coin_that_was_meant(is_compacted: bool, tmp_path: Path) -> None:
    followups_only = a_signal("xyz:GOOGL")
    Directory(tmp_path).add(a_signal("xyz:TSLA"), a_missed(a_signal("xyz:NVDA")), a_followup(followups_only))
    (tmp_path / f"watched_{DAY}.jsonl").write_bytes(Followed(at_ms=T0_MS, coins=("xyz:QUIET", "xyz:HOOD")).line())
    if is_compacted:
        compact(tmp_path)
    coins = ["xyz:TSLA", "xyz:NVDA", "xyz:GOOGL", "xyz:TLSA", "xyz:HOODS", "xyz:QUIET", "moon:A"]
    notes = load(tmp_path, coins=coins).notes
    assert notes.absent_coins == {"xyz:TLSA": "xyz:TSLA", "xyz:HOODS": "xyz:HOOD", "xyz:QUIET": None, "moon:A": None}
    assert notes.sentences() == [
        "xyz:TLSA: the selection has no signal of it; did you mean xyz:TSLA?",
        "xyz:HOODS: the selection has no signal of it; did you mean xyz:HOOD?",
        "xyz:QUIET: the selection has no signal of it, though the feed followed it",
        "moon:A: the selection has no signal of it",
    ]
    assert load(tmp_path).notes.absent_coins == {}


def test_a_market_that_was_never_heard_is_not_watched(tmp_path: Path) -> None:
    quiet, dark, odd = "xyz:QUIET", "xyz:DARK", "xyz:TSLA"
    lines = [
        Followed(at_ms=T0_MS, coins=(dark, quiet, odd), heard=(), dark=()),
        Followed(at_ms=T0_MS + 1, coins=(dark, quiet, odd), heard=(quiet,), dark=(Dark(dark, "refused", T0_MS),)),
        Followed(at_ms=T0_MS + 2, coins=(dark, quiet, odd), heard=(), dark=()),
    ]
    Directory(tmp_path).add(a_signal(odd), a_missed(a_signal(odd)))
    write(tmp_path, "watched", *[line.line() for line in lines])
    notes = load(tmp_path).notes
    assert (notes.watched, notes.never_heard) == ([quiet, odd], [dark])
    assert notes.sentences() == ["1 followed markets were never noted as heard: xyz:DARK"]
    notes = load(tmp_path, coins=[dark, odd]).notes
    assert (notes.watched, notes.never_heard) == ([odd], [dark])
    assert notes.sentences()[0] == f"{dark}: the selection has no signal of it, though the feed followed it"
    write(tmp_path, "watched", *[line.line() for line in lines], b'{"at_ms":1795338701358,"coins":["xyz:DARK"]}\n')
    assert load(tmp_path).notes.watched == sorted([dark, quiet, odd])


def test_days_outside_the_selection_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, "followups", a_followup().line())
    write(tmp_path, "followups", b"broken\n", day="2026-11-21")
    assert load(tmp_path, date=DAY).notes.broken == 0
    with pytest.raises(Unavailable, match="there are 2026-11-21 to 2026-11-22, 2 in all"):
        load(tmp_path, date="2026-11-20")


# Files of a running system.


def test_lines_appended_between_listing_and_reading_are_not_read(tmp_path: Path) -> None:
    later = a_signal(at_ms=T0_MS + 1)
    Directory(tmp_path).add(a_signal(), a_followup())
    everything = Selection.from_options(at_ms=T0_MS)
    sources = list_sources([tmp_path], everything)
    Directory(tmp_path).add(later, a_followup(later))
    data = read(sources, everything)
    assert (data.signals.height, data.followups.height, data.notes.sentences()) == (1, 1, [])


def test_the_signal_of_each_listed_follow_up_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feed and a worker write between any two reads of a file's size."""
    Directory(tmp_path).add(a_signal(), a_followup(), a_missed(offset_ms=3000))
    stat, looks = Path.stat, count(1)

    def write_then_stat(path: Path, **how: Any) -> os.stat_result:
        result = stat(path, **how)
        if path.suffix == ".jsonl":
            signal = a_signal(at_ms=T0_MS + next(looks))
            Directory(tmp_path).add(signal, a_followup(signal), a_missed(signal, 3000))
        return result

    everything = Selection.from_options(at_ms=T0_MS)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", write_then_stat)
        sources = list_sources([tmp_path], everything)
    data = read(sources, everything)
    signals = data.signals["timestamp_ms"].implode()
    assert data.followups["signal_timestamp_ms"].is_in(signals).all()
    assert data.missed["signal_timestamp_ms"].is_in(signals).all()


def test_a_notebook_may_give_dates_times_lists_and_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Directory(tmp_path / "data").add(a_signal(), a_followup())
    instant = datetime.fromtimestamp(T0_MS / 1000, UTC)
    monkeypatch.setenv("HOME", str(tmp_path))
    whole = load(tmp_path / "data")
    assert whole.signals.height == 1
    assert same(load("~/data"), whole)
    assert same(load([tmp_path / "data", "~/data"]), whole)
    assert same(load("~/data", date=instant.date()), whole)
    assert same(load("~/data", since=instant, until=instant + timedelta(milliseconds=1)), whole)
    assert same(load("~/data", since=instant.replace(tzinfo=None)), whole)
    assert load("~/data", until=instant).signals.is_empty()
    monkeypatch.setenv("HIP3_DATA_DIR", str(tmp_path / "data"))
    assert same(load(), whole)
    monkeypatch.setenv("HIP3_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(Unavailable, match="nowhere: No such file"):
        load()


@pytest.mark.parametrize("option", ["date", "since", "until"])
@pytest.mark.parametrize("value", [7, 1.5, [], "noon"])
def test_no_date_is_one_clear_error(option: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(BadSelection, match=f"--{option}: expected "):
        load(tmp_path, **{option: value})


def test_data_show_themselves_shortly(tmp_path: Path) -> None:
    Directory(tmp_path).add(a_signal(), a_followup())
    write(tmp_path, "missed", b"<b>\n")
    (tmp_path / "signals_<x>.jsonl.gz").touch()
    data = load(tmp_path)
    assert repr(data).startswith("Data(1 signals, 1 follow-ups, 0 missed, 1 markets, 2026-11-22 ")
    assert "1 broken lines left out" in data._repr_html_()
    assert "signals_&lt;x&gt;.jsonl.gz" in data._repr_html_()


PRICES = [(a_signal, "best_size"), (a_signal, "oracle_px"), (a_followup, "t0_oracle_px"), (a_followup, "ask_sz")]


@pytest.mark.parametrize("value", [-5.0, 0.0, -81.7])
@pytest.mark.parametrize(("make", "name"), PRICES)
def test_a_price_or_size_that_is_none_breaks_a_line_for_report_and_audit(
    make: Any, name: str, value: float, tmp_path: Path
) -> None:
    assert_broken(tmp_path, changed(make(), **{name: value}), make().line())


@pytest.mark.parametrize("make", [a_signal, a_followup, a_missed])
@pytest.mark.parametrize("coin", ['=HYPERLINK("http://x")', "TSLA", "xyz:", "xyz:A B"])
def test_a_name_that_no_market_has_breaks_a_line_for_report_and_audit(make: Any, coin: str, tmp_path: Path) -> None:
    assert_broken(tmp_path, changed(make(), market_key=coin), make().line())


def assert_broken(data_dir: Path, line: bytes, whole: bytes) -> None:
    Directory(data_dir).add(a_signal("io:BESIDE"))
    kind = "signals" if b'"timestamp_ms"' in whole else "missed" if b'"reason"' in whole else "followups"
    write(data_dir, kind, whole, line)
    (quality,) = [file for file in load(data_dir).notes.files if file.kind == kind]
    assert (quality.broken, quality.broken_lines) == (1, [2])
    broken = [problem for problem in audit(data_dir, at_ms=T0_MS).problems if problem.fault is Fault.BROKEN]
    assert [problem.line for problem in broken] == [2]


@given(st.sampled_from(sorted(name for name in FOLLOWUPS.fields(all_fields=False))), st.floats(-1e10, 1e10) | st.text())
def test_no_line_that_the_report_leaves_out_is_whole_to_the_audit(name: str, value: Any) -> None:
    """But for numbers that follow from prices no market has: of these the audit tells how many there are."""
    line = changed(a_followup(), **{name: value})
    rows = pl.read_ndjson(a_followup().line(), schema=FOLLOWUPS.fields(all_fields=False))
    kind = rows.schema[name]
    if isinstance(value, str) != (kind == pl.String):
        return
    row = rows.with_columns(pl.lit(value, kind).alias(name))
    is_used = row.select(FOLLOWUPS.is_valid()).item()
    try:
        record = Followup.from_line(line)
    except MalformedRecord:
        return  # stricter: an integer has no point, a signal's id has its form
    assert is_used or is_too_large(record), (name, value)
