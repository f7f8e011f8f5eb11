"""The public functions of the analysis: load a feed's files, build a report on them, write rows as lines again."""

from typing import TYPE_CHECKING, Any

from hip3_tasks.analysis.compact.line_codec import lines_of
from hip3_tasks.analysis.loading.load import Data, load
from hip3_tasks.analysis.measure.by import By

if TYPE_CHECKING:
    from hip3_tasks.analysis.report.build import build_report

__all__ = ["By", "Data", "build_report", "lines_of", "load"]


def __getattr__(name: str) -> Any:
    """Import `build_report` on first use: it needs numpy, which takes 0.2 s that `load` alone does without."""
    if name != "build_report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hip3_tasks.analysis.report.build import build_report

    return build_report
