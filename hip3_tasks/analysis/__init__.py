"""The public functions of the analysis: load a feed's files, report on them, write rows as lines again."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hip3_tasks.analysis.compact.line_codec import lines_of
from hip3_tasks.analysis.loading.load import Data, load
from hip3_tasks.analysis.measure.by import By

if TYPE_CHECKING:
    from hip3_tasks.analysis.reporting.build import build_report
    from hip3_tasks.analysis.reporting.model import Report
    from hip3_tasks.analysis.reporting.notebook import ReportView, report
    from hip3_tasks.analysis.reporting.plan import Trader

__all__ = ["By", "Data", "Report", "ReportView", "Trader", "build_report", "lines_of", "load", "report"]

_PLACES = {
    "Report": "model",
    "ReportView": "notebook",
    "Trader": "plan",
    "build_report": "build",
    "report": "notebook",
}


def __getattr__(name: str) -> Any:
    """Import on first use what needs numpy, which takes 0.2 s that `load` alone does without."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"hip3_tasks.analysis.reporting.{_PLACES[name]}"), name)
