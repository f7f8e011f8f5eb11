"""Close a day: rename its Parquet into place under the locks of its writers. The last rename closes the day."""

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


def close_day(data_dir: Path, day: str, files: Sequence[DayLines], folder: Path) -> None:
    """Rename the Parquet in the folder into place. Raises NotCompacted when the day has changed since it was read."""
    with ExitStack() as locks:
        for lines in files:
            if lines.schema is not MISSED:  # the lock of the follow-ups guards the missed ones too
                file = AppendFile(lines.path, lines.schema.record)
                locks.callback(file.close)
                _lock(file)
        changed = [lines.path.name for lines in files if not lines.are_unchanged]
        if changed:
            raise NotCompacted(f"{', '.join(changed)} changed while the day was compacted; do it again")
        for schema in (SIGNALS, MISSED):
            _rename(schema.name, day, folder, data_dir)
        sync_names(data_dir)  # after a power cut, the name that closes the day must not exist without the others
        _rename(FOLLOWUPS.name, day, folder, data_dir)
        sync_names(data_dir)


def _rename(kind: str, day: str, folder: Path, data_dir: Path) -> None:
    (folder / f"{kind}.parquet").replace(parquet_path(data_dir, kind, day))


def _lock(file: AppendFile) -> None:
    """Take the lock of the writers, which closing the file releases. Raises NotCompacted."""
    try:
        lock(file.fd, timeout_s=LOCK_TIMEOUT_S)
    except BlockingIOError:
        name = file.path.name
        raise NotCompacted(f"{name} was locked for {LOCK_TIMEOUT_S:g} s: is a worker stopped?") from None
    if not file.is_in_place():
        raise NotCompacted(f"{file.path.name} was replaced while the day was compacted; do it again")
