"""Compare the kept tape of a data directory with the tape in Redis, and its replay with the files."""

import json
import subprocess
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hip3_tasks.domain.market import decode_entry
from hip3_tasks.errors import Unavailable
from hip3_tasks.recording.compare import Comparison
from hip3_tasks.recording.recorder import TAKEN_OVER_SEQ
from hip3_tasks.store.tape_log import FIRST_MS
from hip3_tasks.tape.columns import Row, row_of
from hip3_tasks.tape.load import load_tape
from tests.faults.row import Result
from tests.support.process import HIP3, environment

RawTape = Sequence[tuple[bytes, dict[bytes, bytes]]]
"""The ids and fields of a market's entries, as the server has them."""


def judge_recording(data_dir: Path, tapes: Mapping[str, RawTape], result: Result, *, when: str) -> None:
    """Count entries that are lost and doubled, and what a replay gives otherwise; `tapes` are read after the end."""
    try:
        rows = load_tape(data_dir).collect().rows()
        compared = audited(data_dir)
    except Unavailable as error:
        result.wrong += 1
        result.add_broken(f"{when}: {error}")
        return
    judge_entries(rows, tapes, compared.until_ms, result, when)
    result.add_replayed(
        signals=compared.signals,
        outcomes=compared.outcomes,
        better_known=compared.better_known.total(),
        off_tape=compared.off_tape,
        known_then=compared.known_then,
        not_covered=compared.not_covered,
    )
    if not compared.signals:
        result.add_broken(f"{when}: no signal was compared with its replay, so this row shows nothing")
    for kind, names in _differences(compared):
        result.wrong += len(names)
        result.add_broken(f"{when}: replay: {kind}: {names[:3]}")


def audited(data_dir: Path) -> Comparison:
    """The result of `hip3 audit --replay`. Raises Unavailable with its error when it has none."""
    command = [*HIP3, "audit", "--replay", "--json", str(data_dir)]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if not run.stdout:
        raise Unavailable(run.stderr)
    (directory,) = json.loads(run.stdout)["directories"]
    compared = Comparison.model_validate(directory)
    assert compared.ok == (run.returncode == 0), f"{run.args} ended with {run.returncode}: {run.stdout}"
    return compared


def judge_entries(rows: Sequence[Row], tapes: Mapping[str, RawTape], until_ms: int, result: Result, when: str) -> None:
    """Compare with every entry on the server up to the end of the recording."""
    recorded, taken_over = {row[:3]: row for row in rows}, _taken_over(rows)
    lost: list[Row] = []
    differing: list[tuple[Row, Row]] = []
    wanted = 0
    for coin, tape in tapes.items():
        of_coin = [row for row in _rows(coin, tape) if row[1] <= until_ms]
        wanted += len(of_coin)
        kept = ((row, recorded[row[:3]]) for row in of_coin if row[:3] in recorded)
        differing += [pair for pair in kept if pair[0] != pair[1]]
        for row, next_ms in zip(of_coin, [*(row[1] for row in of_coin[1:]), until_ms], strict=False):
            if row[:3] not in recorded and not _is_between(taken_over.get(coin, []), row[1], next_ms):
                lost.append(row)
    twice = [key for key, times in Counter(row[:3] for row in rows).items() if times > 1]
    result.add_entries(wanted=wanted, lost=len(lost), twice=len(twice))
    result.wrong += len(differing)
    for kind, entries in ("lost", lost), ("there more than once", twice), ("other than on the server", differing):
        if entries:
            result.add_broken(f"{when}: {len(entries):,} entries {kind}: {list(entries)[:2]}")


def _rows(coin: str, tape: RawTape) -> Iterator[Row]:
    """The rows that the entries make; without the gap from the epoch on a server that lost all."""
    for entry_id, fields in tape:
        at_ms, _, seq = entry_id.partition(b"-")
        if int(at_ms) >= FIRST_MS:
            yield row_of(coin, int(seq), decode_entry(entry_id, fields))


def _taken_over(rows: Sequence[Row]) -> dict[str, list[int]]:
    """The instants at which the recording took over an entry that the server got behind what was read already."""
    instants: dict[str, list[int]] = {}
    for coin, at_ms, seq, *_ in rows:
        if seq == TAKEN_OVER_SEQ:
            instants.setdefault(coin, []).append(at_ms)
    return instants


def _is_between(instants: Sequence[int], first_ms: int, last_ms: int) -> bool:
    place = bisect_left(instants, first_ms)
    return place < len(instants) and instants[place] <= last_ms


def _differences(compared: Comparison) -> Iterator[tuple[str, list[str]]]:
    """The kinds of differences, each with what it is about."""
    kinds = {
        "damaged": compared.damaged,
        "signals lost": compared.lost,
        "signals invented": compared.invented,
        "on file twice": compared.twice,
        "open": compared.open,
        "differing": [f"{name}: {', '.join(fields)}" for name, fields in compared.differing.items()],
    }
    yield from ((kind, names) for kind, names in kinds.items() if names)
