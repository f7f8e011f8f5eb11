"""docs/PAGE.md names all that the page answers."""

from dataclasses import fields
from pathlib import Path

import pytest

from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.domain.sessions import Session
from hip3_tasks.status.market_rows import Known, MarketRow
from hip3_tasks.status.outcome_sums import Outcomes
from hip3_tasks.status.system_status import DayFile, Pipeline
from hip3_tasks.store.worker_status import WorkerNote
from hip3_tasks.web.recent_signals import Cell, SignalRow
from hip3_tasks.web.snapshot import State, Verdicts

DOC = (Path(__file__).parents[2] / "docs" / "PAGE.md").read_text()
OF_DATACLASSES = {field.name for kind in (State, Verdicts, MarketRow, SignalRow, Cell) for field in fields(kind)}
OF_MODELS = {name for kind in (Pipeline, DayFile, Outcomes, WorkerNote) for name in kind.model_fields}


@pytest.mark.parametrize("name", sorted(OF_DATACLASSES | OF_MODELS | {*Known, *Session, *Outcome}))
def test_every_field_and_every_word_is_told_of(name: str) -> None:
    assert f"`{name}`" in DOC
