"""Outcomes, groups and thresholds: the report and its outputs. Called, it is `notebook.report`."""

import sys
from types import ModuleType
from typing import Any


class _Report(ModuleType):
    """`from hip3_tasks.analysis import report` finds this package as soon as anything has imported a part of it."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from hip3_tasks.analysis.report.notebook import report

        return report(*arguments, **options)


sys.modules[__name__].__class__ = _Report
