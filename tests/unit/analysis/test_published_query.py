"""The published query runs unchanged on files of this version, of the first release, and of both."""

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hip3_tasks.domain.records import Record
from tests.support.documents import blocks_of
from tests.support.factories import DAY, T0_MS, released
from tests.support.generators import outcomes, signals

FOLDER, PUBLISHED_DAY = "data/mainnet/signals", "2026-01-20"
LAYOUTS = {
    "first release": lambda number, count: True,
    "upgrade": lambda number, count: number < count // 2,
    "taken back": lambda number, count: number >= count // 2,
    "workers of both": lambda number, count: number % 2,
}


def query() -> str:
    (block,) = (block for block in blocks_of("docs/files.md") if "retention =" in block.text)
    return block.text


def retention(data_dir: Path) -> pl.DataFrame:
    """The result of the query on the files of a directory."""
    names: dict[str, Any] = {}
    exec(query().replace(FOLDER, str(data_dir)).replace(PUBLISHED_DAY, DAY), names)
    return names["retention"].sort("signal_id")


def write(data_dir: Path, kind: str, lines: list[bytes]) -> None:
    data_dir.mkdir(exist_ok=True)
    (data_dir / f"{kind}_{DAY}.jsonl").write_bytes(b"".join(lines))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_gives_the_same_answer_on_lines_of_every_version(tmp_path: Path, layout: str) -> None:
    chance = random.Random(1)
    made = signals(chance, ("xyz:TSLA", "xyz:NVDA", "flx:GOLD"), from_ms=T0_MS, minutes=200)
    followed: list[Record] = [record for signal in made for record in outcomes(signal, chance, missed=0.0)]
    for kind, records in (("signals", list[Record](made)), ("followups", followed)):
        assert len(records) > 400, "more than polars infers the columns from"
        count = len(records)
        is_old = [LAYOUTS[layout](number, count) for number in range(count)]
        write(tmp_path / "new", kind, [record.line() for record in records])
        lines = [released(record) if old else record.line() for record, old in zip(records, is_old, strict=True)]
        write(tmp_path / "mixed", kind, lines)
    answer = retention(tmp_path / "mixed")
    assert answer.equals(retention(tmp_path / "new"))
    assert answer.height == len(made)
