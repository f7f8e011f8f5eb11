"""Counts of a closed day's Parquet rows. Their numbers were checked before they were written."""

from collections import Counter

from hip3_tasks.audit.findings import Counts
from hip3_tasks.domain.records import MissedReason
from hip3_tasks.files.day_files import DayFiles

COLUMNS = {"signals": "offsets_ms", "followups": "offset_ms", "missed": "reason"}
"""The column of each kind whose rows are counted."""


def counts_of(files: DayFiles) -> Counts | None:
    """The rows of a closed day; None where polars is not installed. Raises ValueError when they do not add up."""
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
        expected = int(offsets.list.len().sum())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise ValueError(f"the day cannot be read: {str(error).splitlines()[0]}") from None
    if expected != len(followups) + len(reasons):
        raise ValueError(f"{expected:,} expected, but it has {len(followups):,} follow-ups, {len(reasons):,} missed")
    return Counts(signals=len(offsets), expected=expected, followups=len(followups), missed=missed)
