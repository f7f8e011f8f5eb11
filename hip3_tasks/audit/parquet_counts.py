"""What the Parquet of a closed day holds. Its numbers were checked before it was written."""

from collections import Counter

from hip3_tasks.audit.findings import Counts
from hip3_tasks.domain.records import MissedReason
from hip3_tasks.files.day_files import DayFiles

COLUMNS = {"signals": "offsets_ms", "followups": "offset_ms", "missed": "reason"}
"""The one column of each kind that is counted."""


def counts_of(files: DayFiles) -> Counts | None:
    """How many rows a closed day has; None where polars is not installed. Raises ValueError when they do not add up."""
    try:
        import polars as pl
    except ImportError:
        return None
    absent = COLUMNS.keys() - files.parquet.keys()
    if absent:
        raise ValueError(f"it has no Parquet of: {', '.join(sorted(absent))}")
    try:
        offsets, followups, reasons = (
            pl.read_parquet(files.parquet[kind], columns=[name], glob=False)[name] for kind, name in COLUMNS.items()
        )
        missed = Counter(map(MissedReason, reasons.to_list()))
        due = int(offsets.list.len().sum())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise ValueError(f"the day cannot be read: {str(error).splitlines()[0]}") from None
    if due != len(followups) + len(reasons):
        raise ValueError(f"{due:,} are owed, but there are {len(followups):,} follow-ups and {len(reasons):,} missed")
    return Counts(signals=len(offsets), due=due, followups=len(followups), missed=missed)
