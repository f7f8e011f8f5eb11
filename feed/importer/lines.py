"""Lines of files that others recorded: a venue frame each, bare or in an envelope, with or without a receive time."""

import csv
import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, TypeVar

import orjson

from feed.wire import GREETING, Frame, Other, read_frame
from hip3_tasks.errors import DamagedPiece, MalformedFrame
from hip3_tasks.files.raw_file import RawKind, read_raw

REPORT_LINES = 1_000
_RECEIVED = re.compile(r"rec|local|captur|arriv", re.IGNORECASE)
_TIME = re.compile(r"time|stamp|^t$|ts$|at$|_[mun]?s$", re.IGNORECASE)
_TO_MS = ((10**9, 1_000.0), (10**12, 1.0), (10**15, 1e-3), (10**18, 1e-6))
"""The least number of seconds, ms, us and ns that is an instant of this time, and the factor."""
BOOKS = ("bbo", "l2Book")
"""The channels with the time of a block, which is that of its line if no receive time is."""

Advance = Callable[[float], object]
T = TypeVar("T")


class Line(NamedTuple):
    """One line of a file, with the frames of one market that came together, or why there is none."""

    number: int
    frames: tuple[Frame, ...] | MalformedFrame
    at_ms: int | None = None
    is_received: bool = False
    """Whether the instant is that of the receipt, and not the block's."""
    channel: str = ""
    socket: int = 0
    is_end: bool = False
    """Whether the connection begins or ends here: nothing before is joined with what follows."""


def json_lines(path: Path, advance: Advance) -> Iterator[Line]:
    """The lines of a file. `advance` is called with the bytes that were read since its last call. Raises OSError."""
    with path.open("rb") as raw, closing(unpacked(path, raw)) as file:
        for number, text in numbered(file, raw, advance):
            if isinstance(text, MalformedFrame):
                yield Line(number, text)
            elif text := text.strip():
                yield read_line(number, text)


def raw_lines(path: Path, advance: Advance) -> Iterator[Line]:
    """The records of a file of this project's raw frames; its number is that of the record. Raises OSError."""
    with path.open("rb") as raw:
        for number, record in numbered(read_raw(raw), raw, advance):
            if isinstance(record, MalformedFrame):
                yield Line(number, record)
                return
            if record.kind is RawKind.FRAME:
                line = read_line(number, record.text)
            else:
                event = f"connection {record.kind.name.lower()}"
                line = Line(number, (Other(event),), channel=event, is_end=True)
            yield line._replace(at_ms=record.at_ms, is_received=True, socket=record.socket)


UNREADABLE_FROM = "unreadable from here on"


def _unreadable() -> tuple[type[Exception], ...]:
    """The errors of damaged files."""
    from backports import zstd

    return EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError, RuntimeError, ValueError, DamagedPiece, csv.Error


def numbered(items: Iterable[T], raw: BinaryIO, advance: Advance) -> Iterator[tuple[int, T | MalformedFrame]]:
    """Number what is read from a file, from 1 on; the last one is an error if the file cannot be read to its end."""
    number = done = 0
    try:
        for number, item in enumerate(items, 1):
            if number % REPORT_LINES == 0 and raw.seekable():
                advance(raw.tell() - done)
                done = raw.tell()
            yield number, item
    except _unreadable() as error:
        yield number + 1, MalformedFrame(f"{UNREADABLE_FROM}, {error}", b"")
    if raw.seekable():
        advance(raw.tell() - done)


def unpacked(path: Path, raw: BinaryIO) -> IO[bytes]:
    """The content of a file by the end of its name."""
    ending = path.suffix.lower()
    if ending == ".gz":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if ending in (".zst", ".zstd"):
        from backports import zstd

        return zstd.ZstdFile(raw)  # type: ignore[return-value]
    if ending == ".lz4":
        from lz4.frame import LZ4FrameFile

        return LZ4FrameFile(raw)  # type: ignore[no-any-return]
    return raw


def read_line(number: int, text: bytes) -> Line:
    at_ms, json = None, text
    if text[:1] not in b'{["':  # an instant before the frame, as some archives have it
        text = text.removeprefix(BOM_UTF8)
        head, _, rest = text.replace(b"\t", b" ", 1).partition(b" ")
        at_ms = instant_ms(head.decode(errors="replace"))
        json = text if at_ms is None else rest.strip()
    if json == GREETING.encode():
        return Line(number, (Other("greeting"),), at_ms, at_ms is not None, "greeting")
    try:
        frame, received_ms = _unwrapped(orjson.loads(json))
    except ValueError:
        return Line(number, MalformedFrame("not_json", text), at_ms)
    except MalformedFrame as error:
        return Line(number, error, at_ms)
    at_ms = at_ms or received_ms
    is_received, channel = at_ms is not None, ""
    try:
        if isinstance(frame, dict):
            channel = str(frame.get("channel", ""))
            at_ms = at_ms or _block_ms(frame, channel)
        return Line(number, (read_frame(frame, text),), at_ms, is_received, channel)
    except MalformedFrame as error:
        return Line(number, error, at_ms, is_received, channel)


def instant_ms(value: Any) -> int | None:
    """An instant in any usual form: s, ms, us or ns since 1970, or ISO 8601; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value) if "." in value else int(value)
        except ValueError:
            return _iso_ms(value)
    if type(value) not in (int, float):
        return None
    factors = (factor for least, factor in _TO_MS if least <= value < 10 * least)
    factor = next(factors, None)
    return None if factor is None else int(value * factor) if factor >= 1 else int(value // round(1 / factor))


def _iso_ms(text: str) -> int | None:
    if ":" not in text:  # a day is no instant
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _block_ms(frame: dict[str, Any], channel: str) -> int | None:
    data = frame.get("data")
    return instant_ms(data.get("time")) if channel in BOOKS and isinstance(data, dict) else None


def _is_frame(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("channel"), str)


def _unwrapped(value: Any) -> tuple[Any, int | None]:
    """The frame in an envelope, an object or a list, and its receive time. Raises MalformedFrame for several frames."""
    if _is_frame(value):
        return value, _receive_time({key: other for key, other in value.items() if key not in ("channel", "data")})
    if isinstance(value, list):
        if sum(map(_is_frame, value)) > 1:
            raise MalformedFrame("several_frames in one line", value)
        members = {f"t{number}ts": other for number, other in enumerate(value)}
    else:
        members = value if isinstance(value, dict) else {}
    for name, member in members.items():
        if isinstance(member, str) and member[:1] == "{":
            try:
                member = orjson.loads(member)
            except ValueError:
                continue
        if _is_frame(member):
            return member, _receive_time({key: other for key, other in members.items() if key != name})
    return None, None


def _receive_time(members: dict[str, Any]) -> int | None:
    """The instant whose name means a receipt; else the first one whose name means a time."""
    names = sorted(filter(_TIME.search, members), key=lambda name: _RECEIVED.search(name) is None)
    names += [name for name in members if _RECEIVED.search(name) and name not in names]
    return next((at_ms for name in names if (at_ms := instant_ms(members[name])) is not None), None)
