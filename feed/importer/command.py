"""`hip3 import`: its options, and what it prints. It needs no Redis."""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel

from feed.importer.lines import Advance, Line, json_lines, raw_lines
from feed.importer.rows import ENDINGS, row_lines
from feed.importer.stream import Stream
from feed.wire import Bbo, Ctx
from hip3_tasks import settings as settings_file
from hip3_tasks.domain.market import COIN
from hip3_tasks.errors import BadSelection, MalformedFrame, Unavailable
from hip3_tasks.files.raw_file import ENDING
from hip3_tasks.logs import configure_logs
from hip3_tasks.recording.command import new_directory, progress, require_new
from hip3_tasks.recording.new_tape import NewTape
from hip3_tasks.settings import Settings
from hip3_tasks.terminal_text import counted, printable, utc_minute
from hip3_tasks.thresholds_file import read_thresholds

MAX_NAMED = 10
FEE_BPS = 9.0
"""The taker fee of a market without growth mode."""


class Imported(BaseModel):
    """The result of an import."""

    out: Path
    from_ms: int = 0
    until_ms: int = 0
    lines: int = 0
    states: int = 0
    markets: list[str] = []
    taken: dict[str, int] = {}
    left_out: dict[str, int] = {}
    unusable: int = 0
    first_unusable: list[str] = []


class Importer:
    """Shows the lines of files to the streams of their sockets, and counts them."""

    def __init__(self, tape: NewTape, chosen: Settings, *, taker_fee_bps: Callable[[str], float]) -> None:
        self._tape = tape
        self.taken, self.left_out = Counter[str](), Counter[str]()
        self.lines = self.unusable = 0
        self.first_unusable: list[str] = []
        self._streams = defaultdict[int, Stream](lambda: Stream(tape, chosen, taker_fee_bps=taker_fee_bps))

    def take(self, path: Path, line: Line) -> None:
        self.lines += 1
        stream, frames = self._streams[line.socket], line.frames
        at_ms = stream.now_ms if line.at_ms is None else line.at_ms
        if isinstance(frames, MalformedFrame):
            self._name(path, line, frames.kind)
            if at_ms is not None:
                stream.refuse(frames, at_ms)
            return
        data = [frame for frame in frames if isinstance(frame, Bbo | Ctx)]
        if data and at_ms is None:
            self._name(path, line, "no_time, and no line before has one")
        elif data and at_ms is not None and COIN.fullmatch(data[0].coin):
            self.taken[line.channel] += 1
            stream.hear(data, at_ms, is_received=line.is_received)
        else:
            self.left_out["frames of markets that no dex lists" if data else f"{line.channel or 'other'} frames"] += 1
            if line.is_end and line.at_ms is not None:
                stream.end(line.channel, next_ms=line.at_ms + 1)
            if line.at_ms is not None:
                stream.pass_to(line.at_ms)

    def finish(self, chosen: Settings, out: Path) -> Imported:
        for stream in self._streams.values():
            stream.end("the recording ends")
        self._tape.finish(chosen.rules)
        if self._tape.doubled:
            self.left_out["entries of a time that was imported already"] = self._tape.doubled
        tape, states = self._tape, self._tape.states
        result = Imported(out=out, from_ms=tape.from_ms, until_ms=tape.until_ms, states=states, markets=tape.coins)
        result.lines, result.taken, result.left_out = self.lines, self.taken, self.left_out
        result.unusable, result.first_unusable = self.unusable, self.first_unusable
        return result

    def _name(self, path: Path, line: Line, why: str) -> None:
        self.unusable += 1
        if len(self.first_unusable) < MAX_NAMED:
            self.first_unusable.append(f"{path}:{line.number}: {why}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hip3 import")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fee-bps", type=float)
    parser.add_argument("--fees", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def import_command() -> int:
    """Import the files of the command line; 1 when a line was unusable. Raises Unavailable or BadSelection."""
    configure_logs("critical")
    options = _options()
    chosen = settings_file.load()
    require_new(options.out)
    for path in options.files:
        if not path.exists() or path.is_dir():
            raise Unavailable(f"{path}: {'is a directory' if path.is_dir() else 'no such file'}")
    fees_bps = _fees_bps(options.fees)
    if options.fee_bps is None:
        every = "every other market" if fees_bps else "every market"
        print(f"taker fee {FEE_BPS:g} bps for {every}; --fee-bps gives another", file=sys.stderr)
    fee_bps = FEE_BPS if options.fee_bps is None else options.fee_bps
    size = sum(path.stat().st_size for path in options.files)
    with new_directory(options.out) as part, progress("importing", size) as advance:
        importer = Importer(NewTape(part), chosen, taker_fee_bps=lambda coin: fees_bps.get(coin, fee_bps))
        for path in options.files:
            for line in _reader_of(path)(path, advance):
                importer.take(path, line)
        result = importer.finish(chosen, options.out)
        if not result.states:
            none = f"no state of a market is in {counted(result.lines, 'line')}; `hip3 import` reads JSON lines or rows"
            raise Unavailable("\n".join([none, *_notes(result)]))
    for coin in fees_bps.keys() - result.markets:
        print(f"{options.fees}: no market {coin} was imported", file=sys.stderr)
    _show(result, as_json=options.json)
    return int(result.unusable > 0)


def _fees_bps(path: Path | None) -> dict[str, float]:
    """The taker fees of a file in the form of HIP3_THRESHOLDS. Raises BadSelection."""
    try:
        fees_bps = read_thresholds(path) if path else {}
    except ValueError as error:
        raise BadSelection(f"--fees: {error}") from None
    for coin, bps in fees_bps.items():
        if bps < 0:
            raise BadSelection(f"--fees: expected a number from 0 up in {path}, was {coin}: {bps:g}")
    return fees_bps


def _reader_of(path: Path) -> Callable[[Path, Advance], Iterator[Line]]:
    name = path.name.lower()
    return raw_lines if name.endswith(ENDING) else row_lines if name.endswith(ENDINGS) else json_lines


def _notes(result: Imported) -> Iterator[str]:
    """A line for each kind of frames that was left out, and for the first lines that could not be used."""
    yield from (f"left out: {count:,} {name}" for name, count in result.left_out.items())
    yield from (f"unusable: {text}" for text in result.first_unusable)
    if result.unusable > len(result.first_unusable):
        yield f"unusable: {result.unusable - len(result.first_unusable):,} more"


def _show(result: Imported, *, as_json: bool) -> None:
    if as_json:
        print(result.model_dump_json(indent=2))
        return
    span = f"{utc_minute(result.from_ms)} to {utc_minute(result.until_ms)}"
    what = f"{counted(result.states, 'state')} of {counted(len(result.markets), 'market')}, {span}"
    print(f"{result.out}: {what}, from {counted(result.lines, 'line')}")
    for note in _notes(result):
        print(printable(note))
    print(f"next: hip3 replay {result.out} --out NEW")
