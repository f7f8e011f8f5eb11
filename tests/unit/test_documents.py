"""The names in the documents are those of the code. tests/acceptance/test_documents.py executes their blocks."""

import re
import tomllib

import orjson
import pytest
import typer

from hip3_tasks.cli import app
from hip3_tasks.domain.edge import edge_bps
from hip3_tasks.domain.records import Followed, Followup, Missed, MissedReason, Record, Signal
from hip3_tasks.settings import Settings
from hip3_tasks.tape.columns import SCHEMA
from simulator.faults.table import lines
from simulator.info import ANSWERS
from tests.support import documents
from tests.support.documents import CODE, DOCUMENTS, NOT_EXECUTED, OTHER_LANGUAGES, PAGES, ROOT

MAX_README_LINES = 150
FILES = documents.text_of("docs/files.md")
SOURCE = "".join(
    path.read_text() for folder in ("hip3_tasks", "feed", "workers") for path in (ROOT / folder).rglob("*.py")
)
MAKEFILE = (ROOT / "Makefile").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PATH = re.compile(r"(?:hip3_tasks|feed|workers|simulator|tests|tools|benchmarks|docs|docker|examples)/[\w./-]*")
RECORDS = {"timestamp_ms": Signal, "edge_change_bps": Followup, "reason": Missed}
LOG_EVENT = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")


@pytest.mark.parametrize(
    "field", sorted({name for kind in (Signal, Followup, Missed, Followed) for name in kind.model_fields})
)
def test_every_field_of_a_record_is_described(field: str) -> None:
    assert f"`{field}`" in FILES


def test_the_columns_of_the_tape_are_those_of_its_files() -> None:
    table = documents.text_of("docs/tape.md").partition("| column |")[2].partition("\n\n")[0]
    named = [
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    ]
    assert sorted(named) == sorted(SCHEMA)


def test_every_fault_and_every_answer_of_the_simulated_venue_is_described() -> None:
    page = documents.text_of("docs/simulated-venue.md")
    assert "\n".join(lines()) in page
    assert not [kind for kind in ANSWERS if f"`{kind}`" not in page]


@pytest.mark.parametrize("reason", MissedReason)
def test_every_reason_for_missed_is_described(reason: str) -> None:
    assert f"`{reason}`: " in FILES
    assert f"| `{reason}` | " in documents.text_of("docs/glossary.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    for target in documents.links_of(document):
        path, _, anchor = target.partition("#")
        file = ((ROOT / document).parent / path).resolve() if path else ROOT / document
        assert file.exists(), target
        if anchor:
            assert anchor in documents.anchors_of(file.relative_to(ROOT).as_posix()), target


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {target.partition("#")[0] for target in documents.links_of("README.md")}
    assert {*PAGES} - linked == {"docs/package.md"}


def test_the_readme_is_short() -> None:
    assert len(documents.text_of("README.md").splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_exist(document: str) -> None:
    for code in documents.inline_code_of(document):
        if PATH.fullmatch(code):
            assert (ROOT / code).exists(), code


@pytest.mark.parametrize("document", DOCUMENTS)
def test_settings_exist(document: str) -> None:
    names = set(re.findall(r"HIP3_[A-Z0-9_]+[A-Z0-9]", documents.text_of(document)))
    assert names - {f"HIP3_{name.upper()}" for name in Settings.model_fields} - {"HIP3_NAME", "HIP3_PAGE"} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_options_exist(document: str) -> None:
    for code in documents.inline_code_of(document):
        match = re.fullmatch(r"hip3 ([a-z]+)(.*)", code)
        if match is None:
            continue
        options = {name for option in COMMANDS[match[1]].params for name in (*option.opts, *option.secondary_opts)}
        assert set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", match[2])) <= options | {"--help"}, code


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_exist(document: str) -> None:
    for code in [*documents.inline_code_of(document), *(block.script for block in documents.blocks_of(document))]:
        for target in re.findall(r"\bmake ([a-z][a-z-]*)", code):
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_log_events_exist() -> None:
    tables = documents.text_of("docs/troubleshooting.md").partition("## feed.log")[2].partition("## Numbers")[0]
    events = {event for line in tables.splitlines() for event in LOG_EVENT.findall(line.partition("|")[2])}
    assert len(events) > 10
    assert {event for event in events if f'"{event}"' not in SOURCE} == set()


def test_records_are_shown_as_they_are_written() -> None:
    blocks = [block for block in documents.all_blocks() if block.language == "json"]
    assert len(blocks) == 6
    for block in blocks:
        kind: type[Record] = next(kind for name, kind in RECORDS.items() if name in orjson.loads(block.text))
        record = kind.from_line(block.text.encode())
        assert record.line().decode() == block.text, block.place
        if isinstance(record, Signal | Followup):
            edge = edge_bps(record.side, touch_px=record.best_px, oracle_px=record.oracle_px)
            assert edge == record.raw_edge_bps, block.place


def test_every_block_has_a_language_that_is_known() -> None:
    for block in documents.all_blocks():
        assert block.language in CODE | OTHER_LANGUAGES, block.place
        is_output = block.language in OTHER_LANGUAGES
        assert not (is_output and re.search(r"^\$ ", block.text, re.MULTILINE)), block.place


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_code_hides_in_an_indented_block(document: str) -> None:
    assert re.findall(r"\n\n {4}.*", documents.prose_of(document)) == []


def test_each_block_that_is_not_executed_is_there() -> None:
    first_commands = {block.first_command for block in documents.all_blocks() if block.language in CODE}
    assert NOT_EXECUTED.keys() - first_commands == set()


def test_the_description_of_the_package_has_no_link_into_the_repository() -> None:
    text = documents.text_of("docs/package.md")
    assert not re.findall(r"\]\((?!https?://)", text)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["readme"] == "docs/package.md"
