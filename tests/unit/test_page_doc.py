"""docs/page.md describes every field, word and metric in the page's answers."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.domain.sessions import Session
from hip3_tasks.status.market_rows import MarketRow, MarketStatus
from hip3_tasks.status.outcome_sums import OutcomeSummary, TripSummary
from hip3_tasks.status.redis_snapshot import Gauge
from hip3_tasks.status.system_status import DayFile, SystemStatus
from hip3_tasks.status.trips import Order
from hip3_tasks.store.worker_status import WorkerStatus
from hip3_tasks.web.decay import TripRow
from hip3_tasks.web.recent_signals import HorizonCell, SignalRow
from hip3_tasks.web.snapshot import PageState, RecentOutcomes, TakenToday

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "page.md").read_text()
METRIC = re.compile(r'(CounterMetricFamily\(\s*)?"(hip3_\w+)"')
DATACLASSES = (PageState, TakenToday, TripRow, RecentOutcomes, MarketRow, SignalRow, HorizonCell)
DATACLASS_FIELDS = {field.name for kind in DATACLASSES for field in fields(kind)}
MODELS = (SystemStatus, DayFile, OutcomeSummary, TripSummary, WorkerStatus)
MODEL_FIELDS = {name for kind in MODELS for name in kind.model_fields}


@pytest.mark.parametrize("name", sorted(DATACLASS_FIELDS | MODEL_FIELDS | {*MarketStatus, *Session, *Outcome, *Order}))
def test_every_field_and_every_word_is_described(name: str) -> None:
    assert f"`{name}`" in DOC


def test_every_metric_is_described_and_no_other() -> None:
    code = (ROOT / "hip3_tasks" / "web" / "metrics.py").read_text()
    metrics = {name + ("_total" if counter else "") for counter, name in METRIC.findall(code)}
    metrics |= {
        gauge.metric(name)
        for name, field in SystemStatus.model_fields.items()
        for gauge in field.metadata
        if isinstance(gauge, Gauge)
    }
    assert set(re.findall(r"`(hip3_\w+)`", DOC)) == metrics
