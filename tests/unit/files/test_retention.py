from pathlib import Path

from hip3_tasks.files.retention import delete_old_days, disk_problem
from tests.support.factories import T0_MS


def test_only_the_data_files_of_days_before_the_kept_ones_go(tmp_path: Path) -> None:
    kept = ["signals_2026-11-21.jsonl", "followups_2026-11-22.jsonl", "run.json", "signals_2026-99-99.jsonl"]
    gone = ["signals_2026-11-20.jsonl", "missed_2026-11-20.jsonl", "followups_2026-11-20.parquet"]
    for name in kept + gone:
        (tmp_path / name).touch()
    deleted = delete_old_days(tmp_path, keep_days=1, at_ms=T0_MS)
    assert deleted[0] == "signals_2026-11-20.jsonl"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_the_closing_file_of_a_day_is_deleted_last(tmp_path: Path) -> None:
    for name in [f"{kind}_2026-11-20" for kind in ("signals", "followups", "missed", "watched")]:
        (tmp_path / f"{name}.jsonl").touch()
        (tmp_path / f"{name}.parquet").touch()
    deleted = delete_old_days(tmp_path, keep_days=1, at_ms=T0_MS)
    lines = [name for name in deleted if name.endswith(".jsonl")]
    assert lines == deleted[:4] and lines.index("signals_2026-11-20.jsonl") < lines.index("followups_2026-11-20.jsonl")
    assert deleted[-1] == "followups_2026-11-20.parquet"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_is_a_problem_when_it_is_full_or_gone(tmp_path: Path) -> None:
    assert disk_problem(tmp_path, min_free_mb=0) is None
    assert "less than" in (disk_problem(tmp_path, min_free_mb=1 << 40) or "")
    assert "there is no such directory; `hip3 up` or a feed makes it" in (
        disk_problem(tmp_path / "gone", min_free_mb=0) or ""
    )
