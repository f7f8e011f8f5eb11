"""An audit of a compacted day counts the rows of its Parquet."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hip3_tasks.audit import audit as auditing
from hip3_tasks.audit.audit import audit_command
from hip3_tasks.audit.findings import Counts, Fault
from hip3_tasks.domain.records import MissedReason, Record
from tests.support.audits import SIGNAL, audited, only_fault, outcomes, write
from tests.support.factories import DAY, a_followup, a_missed


def compacted(data_dir: Path, day: str = DAY) -> None:
    """The Parquet of a day with one signal, two follow-ups and one that was missed."""
    rows = {"signals": [SIGNAL], "followups": outcomes()[:2], "missed": [a_missed(SIGNAL, 5000)]}
    for kind, records in rows.items():
        of_kind = [json.loads(record.line()) for record in records if isinstance(record, Record)]
        pl.DataFrame(of_kind).write_parquet(data_dir / f"{kind}_{day}.parquet")


def test_rows_of_a_compacted_day_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compacted(tmp_path)
    result = audited(tmp_path)
    assert result.ok and result.closed_days == [DAY]
    assert result.days == {DAY: Counts(signals=1, expected=3, followups=2, missed=Counter([MissedReason.FEED_GAP]))}
    assert audit_command([tmp_path], as_json=False) == 0
    assert "compacted" in capsys.readouterr().out


def test_the_lines_of_a_compacted_day_are_audited(tmp_path: Path) -> None:
    compacted(tmp_path)
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", [a_followup(SIGNAL, 1000, raw_edge_bps=7.0), outcomes()[1]])
    write(tmp_path, "missed", [a_missed(SIGNAL, 5000)])
    result = audited(tmp_path)
    assert result.closed_days == [DAY] and not result.notes
    assert "raw_edge_bps is 7.0" in only_fault(result, Fault.WRONG_NUMBER)


def test_lines_that_are_no_copy_of_a_compacted_day_do_not_count(tmp_path: Path) -> None:
    """An older back-up of the lines was put back."""
    compacted(tmp_path)
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes()[:1])
    result = audited(tmp_path)
    assert result.ok and not result.problems
    assert result.days == {DAY: Counts(signals=1, expected=3, followups=2, missed=Counter([MissedReason.FEED_GAP]))}
    assert result.notes == [f"{DAY}: its lines are no copy of its Parquet, which is what counts and is read"]


def test_rows_of_a_compacted_day_with_partly_deleted_lines_are_counted(tmp_path: Path) -> None:
    compacted(tmp_path)
    write(tmp_path, "followups", outcomes()[:2])
    result = audited(tmp_path)
    assert result.ok
    assert (result.total.signals, result.total.followups, result.total.missed.total()) == (1, 2, 1)


@pytest.mark.parametrize("after", range(3))
def test_a_day_that_is_compacted_while_its_files_are_opened_is_read_or_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes()[:2])
    write(tmp_path, "missed", [a_missed(SIGNAL, 5000)])
    opened, names = auditing._File, list[str]()

    def opened_then_deleted(path: Path) -> Any:
        names.append(path.name)
        if len(names) == after + 1:
            compacted(tmp_path)
            for kind in ("signals", "missed", "followups"):
                (tmp_path / f"{kind}_{DAY}.jsonl").unlink()
        return opened(path)

    monkeypatch.setattr(auditing, "_File", opened_then_deleted)
    result = audited(tmp_path)
    assert result.ok and result.closed_days == [DAY]
    assert (result.total.signals, result.total.followups, result.total.missed.total()) == (1, 2, 1)


def test_parquet_of_a_compaction_that_died_is_no_data(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes())
    compacted(tmp_path)
    (tmp_path / f"followups_{DAY}.parquet").unlink()
    result = audited(tmp_path)
    assert result.ok and not result.closed_days
    assert result.total.followups == 3


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.write_bytes(b""), "the day cannot be read: "),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "the day cannot be read: "),
        (lambda path: pl.DataFrame({"offset_ms": [1000]}).write_parquet(path), "3 expected, but it has 1 follow-up"),
    ],
    ids=["empty", "cut off", "rows missing"],
)
def test_a_compacted_day_that_is_damaged_is_a_fault(
    tmp_path: Path, damage: Callable[[Path], object], what: str
) -> None:
    compacted(tmp_path)
    damage(tmp_path / f"followups_{DAY}.parquet")
    assert what in only_fault(audited(tmp_path), Fault.DAMAGED)


def test_a_compacted_day_without_one_of_its_files_is_a_fault(tmp_path: Path) -> None:
    compacted(tmp_path)
    (tmp_path / f"missed_{DAY}.parquet").unlink()
    assert "it has no Parquet of: missed" in only_fault(audited(tmp_path), Fault.DAMAGED)


def test_without_polars_a_compacted_day_is_listed_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compacted(tmp_path)
    monkeypatch.setitem(sys.modules, "polars", None)
    result = audited(tmp_path)
    assert result.ok
    assert (result.closed_days, result.days) == ([DAY], {})
