"""A report in a notebook: the numbers of the command, as frames and figures."""

from pathlib import Path
from typing import Any

import pytest

from hip3_tasks import analysis
from hip3_tasks.analysis import By, Report, ReportView, load, report
from hip3_tasks.errors import BadSelection
from simulator.history import HistoryPlan, write
from tests.support.documents import blocks_of


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history") / "data" / "sim" / "signals"
    write(HistoryPlan(signals=3_000, hours=3, markets=5, copies=4.0, seed=9), directory)
    return directory


@pytest.fixture(scope="module")
def view(history: Path) -> ReportView:
    result = report(history)
    assert isinstance(result, ReportView)
    return result


def test_every_public_name_is_there() -> None:
    assert {name for name in analysis.__all__ if not hasattr(analysis, name)} == set()


def test_the_table_has_the_numbers_of_the_model(view: ReportView) -> None:
    rows = view.table().to_dicts()
    groups = (view.model.total, *view.model.groups)
    assert [(row["group"], row["offset_ms"], row["net_bps"], row["net_bps_low"]) for row in rows] == [
        (group.name, horizon.offset_ms, horizon.net_bps.value, horizon.net_bps.low)
        for group in groups
        for horizon in group.horizons
    ]


@pytest.mark.parametrize("by", list(By))
def test_the_same_data_are_grouped_otherwise(view: ReportView, by: By) -> None:
    other = view.by(by)
    assert other.data is view.data
    assert other.model.by == by
    assert other.model.coverage == view.model.coverage
    curve = view.curve(by=by)
    assert set(curve["group"]) == {"all", *(group.name for group in other.model.groups)}
    assert curve.columns[:4] == ["group", "offset_ms", "n", "edge_bps"]


def test_loaded_data_and_their_directory_have_the_same_report(history: Path, view: ReportView) -> None:
    assert report(load(history)).model.total == view.model.total
    assert report([history], cost_bps=2.0).model.cost_bps == 2.0
    with pytest.raises(BadSelection, match="select with load"):
        report(load(history), since="1h")
    with pytest.raises(BadSelection, match=r"^by: expected one or two of market, side, "):
        report(history, by="moon")


@pytest.mark.parametrize("figure", ["round_trips", "outcomes", "decay", "markout", "thresholds", "lateness"])
def test_its_figures_are_drawn(view: ReportView, figure: str) -> None:
    assert view.plot(figure).data
    assert view.plot().layout.height > 100
    with pytest.raises(BadSelection, match="plot: expected round_trips, "):
        view.plot("moon")


def test_it_shows_itself(view: ReportView) -> None:
    assert repr(view) == f"ReportView({view.model.headline}: 3,000 signals in 5 groups by market)"
    assert "<table" in view._repr_html_()
    assert Report.model_validate_json(view.model.model_dump_json()).total == view.model.total


@pytest.mark.parametrize("document", ["README.md", "docs/report.md"])
def test_the_documents_examples_run(document: str, history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(history.parents[2])
    blocks = [block for block in blocks_of(document) if block.text.find("hip3_tasks.analysis import") >= 0]
    for block in blocks:
        text, names = block.text.replace(', since="12h"', ""), dict[str, Any]()
        exec(compile(text, block.place, "exec"), names)
    assert blocks
