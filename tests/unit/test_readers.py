"""The readers that docs/files.md shows give exactly the numbers in the lines."""

from contextlib import chdir
from pathlib import Path
from typing import Any

import orjson
import pytest

from hip3_tasks.domain.records import Followup
from tests.support.documents import blocks_of
from tests.support.factories import T0_MS, a_followup, a_market, a_signal

pytest.importorskip("duckdb")
pytest.importorskip("pandas")

(BLOCK,) = [block for block in blocks_of("docs/files.md") if "import duckdb" in block.text]
ROWS = 3_000


def followups() -> list[Followup]:
    """Numbers of many digits; a field that is null at first, and one that is null now and then."""
    records = []
    for index in range(ROWS):
        market = a_market(at_ms=T0_MS + index, ask_px=249.5 + index / 7_001, oracle_px=250 + 1 / (index + 3))
        signal = a_signal(market=market, at_ms=T0_MS + index)
        markout_bps = None if index % 3 else index / 7
        mark_px = index / 11 if index > ROWS // 2 else None
        records.append(a_followup(signal, 1000, markout_bps=markout_bps, mark_px=mark_px))
    return records


def test_every_reader_gives_the_numbers_of_the_lines(tmp_path: Path) -> None:
    file = tmp_path / "data/mainnet/signals/followups_2026-01-20.jsonl"
    file.parent.mkdir(parents=True)
    lines = [record.line() for record in followups()]
    file.write_bytes(b"".join(lines))
    expected = [orjson.loads(line) for line in lines]
    names: dict[str, Any] = {}
    with chdir(tmp_path):
        exec(compile(BLOCK.text, BLOCK.place, "exec"), names)
        table = names["by_duckdb"]
        by_duckdb = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    assert names["by_polars"].to_dicts() == expected
    assert by_duckdb == expected
    frame = names["by_pandas"]
    assert list(frame.columns) == list(expected[0])
    for name in frame.columns:
        values = [None if value != value else value for value in frame[name].tolist()]
        assert values == [row[name] for row in expected], name
