"""The moment in which a day becomes Parquet: under the locks of its writers, by renames of which the last decides."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hip3_tasks.analysis.compact.day_lines import DayLines
from hip3_tasks.analysis.loading.schemas import FOLLOWUPS, MISSED, SIGNALS
from hip3_tasks.errors import NotCompacted
from hip3_tasks.files.append_file import AppendFile, sync_names
from hip3_tasks.files.day_files import parquet_path
from hip3_tasks.files.lock import lock

LOCK_TIMEOUT_S = 30.0
BEFORE = (SIGNALS.name, MISSED.name)
LAST = FOLLOWUPS.name
"""Its name closes the day."""


def close_day(data_dir: Path, day: str, lines: Sequence[DayLines], folder: Path) -> None:
    """Rename the Parquet in the folder into place. Raises NotCompacted when the day is no longer what was read."""
    with ExitStack() as locks:
        for of_kind in lines:
            if of_kind.kind is not MISSED:  # which the lock of the follow-ups guards too
                file = AppendFile(of_kind.path, of_kind.kind.record)
                locks.callback(file.close)
                _lock(file)
        changed = [of_kind.path.name for of_kind in lines if not of_kind.are_unchanged]
        if changed:
            raise NotCompacted(f"{', '.join(changed)} changed while the day was compacted; do it again")
        for kind in BEFORE:
            _rename(kind, day, folder, data_dir)
        sync_names(data_dir)  # what closes the day must not outlive a power cut that the rest does not
        _rename(LAST, day, folder, data_dir)
        sync_names(data_dir)


def _rename(kind: str, day: str, folder: Path, data_dir: Path) -> None:
    (folder / f"{kind}.parquet").replace(parquet_path(data_dir, kind, day))


def _lock(file: AppendFile) -> None:
    """Wait for the lock that writers take; to close the file releases it. Raises NotCompacted."""
    try:
        lock(file.fd, timeout_s=LOCK_TIMEOUT_S)
    except BlockingIOError:
        name = file.path.name
        raise NotCompacted(f"{name} was locked for {LOCK_TIMEOUT_S:g} s: is a worker stopped?") from None
    if not file.is_in_place():
        raise NotCompacted(f"{file.path.name} was replaced while the day was compacted; do it again")
