"""The days of a directory follow from the names of its files."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import DayFiles, day_of, days_of, is_closed

DAY = "2026-01-20"


def touch(data_dir: Path, names: Iterable[str]) -> None:
    for name in names:
        (data_dir / name).touch()


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["signals", "followups", "missed", "watched", "sums"])
def test_a_data_file_goes_with_its_day(kind: str, suffix: str) -> None:
    assert day_of(f"{kind}_{DAY}.{suffix}") == DAY


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        f"old_{DAY}.jsonl",
        f"signals_{DAY}.jsonl.bak",
        f".signals_{DAY}.jsonl",
        "signals_2026-02-30.jsonl",
        "signals_2026-W03-1.jsonl",
        "signals_٢٠٢٦-01-20.jsonl",
        f"signals_{DAY}.jsonl\n",
        f".compacting-{DAY}",
    ],
)
def test_any_other_file_is_ignored(name: str) -> None:
    assert day_of(name) is None


def test_days_are_listed_oldest_first_with_their_kinds(tmp_path: Path) -> None:
    touch(tmp_path, ["signals_2026-01-21.jsonl", f"followups_{DAY}.jsonl", f"signals_{DAY}.jsonl", "run.json"])
    assert list(days_of(tmp_path)) == [DAY, "2026-01-21"]
    assert days_of(tmp_path)[DAY].jsonl == {kind: tmp_path / f"{kind}_{DAY}.jsonl" for kind in ("signals", "followups")}


def test_a_day_is_closed_by_the_parquet_of_its_follow_ups_and_by_no_other(tmp_path: Path) -> None:
    touch(tmp_path, [f"{kind}_{DAY}.{suffix}" for kind in ("signals", "missed") for suffix in ("jsonl", "parquet")])
    assert not is_closed(tmp_path, DAY)
    assert not days_of(tmp_path)[DAY].is_closed and days_of(tmp_path)[DAY].parquet == {}
    touch(tmp_path, [f"followups_{DAY}.parquet"])
    assert is_closed(tmp_path, DAY)
    assert days_of(tmp_path)[DAY].parquet.keys() == {"signals", "followups", "missed"}


def test_a_closed_day_has_a_copy_until_the_first_of_its_lines_is_deleted(tmp_path: Path) -> None:
    def files(*jsonl: str) -> DayFiles:
        return DayFiles(DAY, dict.fromkeys(jsonl, tmp_path), {"followups": tmp_path})

    assert files("signals", "followups").is_copied and files("signals", "followups", "missed").is_copied
    assert not files("followups", "missed").is_copied and not files().is_copied


def test_a_file_beside_the_data_makes_no_day(tmp_path: Path) -> None:
    touch(tmp_path, [f"watched_{DAY}.jsonl", f"signals_{DAY}.parquet"])
    with pytest.raises(Unavailable, match=r"no signals_, followups_ or missed_YYYY-MM-DD\.jsonl: nothing to read"):
        days_of(tmp_path)
    with pytest.raises(Unavailable, match="absent: No such file or directory: nothing to read"):
        days_of(tmp_path / "absent")
