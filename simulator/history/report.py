"""The report of `hip3 report` on a history in memory."""

import polars as pl

from hip3_tasks.analysis.loading.load import Data, LazyChunk
from hip3_tasks.analysis.loading.quality import DataQuality
from hip3_tasks.analysis.loading.schemas import FOLLOWUPS, KEY, MISSED, SIGNALS
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.model import Report


def report_on(signals: pl.DataFrame, followups: pl.DataFrame) -> Report:
    """Build the report by market on the frames of a history, without its missed follow-ups."""
    data = Data(
        signals=SIGNALS.project(signals, all_fields=False).drop(KEY),
        chunks=[LazyChunk(FOLLOWUPS.project(followups, all_fields=False).drop(KEY).lazy())],
        missed=MISSED.empty(all_fields=False).drop(KEY),
        notes=DataQuality(dirs=[]),
    )
    return build_report(data, by=By.MARKET, cost_bps=None, at_ms=0)
