"""Files of raw frames: what the sockets to the venue brought, as it was received. Only here are they encoded and named.

    DATA_DIR/raw/2026-11-28/14.raw.gz       the hour 14:00 UTC; 14_02.raw.gz is the second file of that hour

gzip of a header, `HIP3RAW1`, and of records: length of the text (4 bytes), instant in ns since 1970 (8), socket (2),
kind (1), all little-endian, then the text. Instants are the feed's clock, which counts in ms. A file whose writer was
killed has no end of gzip: every record before is whole.
"""

import gzip
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hip3_tasks.domain.capture import DAY_MS, HOUR_MS, utc_day
from hip3_tasks.errors import DamagedPiece

ENDING = ".raw.gz"
HEADER = b"HIP3RAW1"
_HEAD = struct.Struct("<IQHB")
MAX_TEXT = 1 << 26
"""A longer text is a damaged length."""


class RawKind(IntEnum):
    """The event of a socket that a record tells."""

    FRAME = 0
    OPENED = 1
    """A new connection; nothing that was known before holds."""
    LOST = 2
    """The connection ended, or frames are missing here; the text is the cause."""


class RawRecord(NamedTuple):
    """One event of a socket."""

    at_ms: int
    socket: int
    kind: RawKind
    text: bytes

    def encode(self) -> bytes:
        return _HEAD.pack(len(self.text), self.at_ms * 1_000_000, self.socket, self.kind) + self.text


def new_raw_path(data_dir: Path, at_ms: int) -> Path:
    """The file of an instant's hour, which does not exist yet."""
    folder, hour = data_dir / "raw" / utc_day(at_ms), at_ms % DAY_MS // HOUR_MS
    number = 1
    while (path := folder / f"{hour:02}{f'_{number:02}' if number > 1 else ''}{ENDING}").exists():
        number += 1
    return path


def raw_tail(data_dir: Path, *, max_bytes: int) -> bytes:
    """A file of the last records, of so many bytes of text; empty where there are none. Raises OSError."""
    paths = sorted((data_dir / "raw").glob(f"*/*{ENDING}"), key=lambda path: path.stat().st_mtime)
    last, held = deque[RawRecord](), 0
    for path in paths[-1:]:
        with path.open("rb") as raw, suppress(DamagedPiece):
            for record in read_raw(raw):
                last.append(record)
                held += len(record.text)
                while held > max_bytes:
                    held -= len(last.popleft().text)
    return gzip.compress(HEADER + b"".join(map(RawRecord.encode, last))) if last else b""


def read_raw(raw: BinaryIO) -> Iterator[RawRecord]:
    """The records of an open file. Raises DamagedPiece where it cannot be read on."""
    with gzip.GzipFile(fileobj=raw) as file:
        try:
            if file.read(len(HEADER)) != HEADER:
                raise DamagedPiece("not a file of raw frames of this version")
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                length, at_ns, socket, kind = _HEAD.unpack(head)
                if length > MAX_TEXT or kind not in list(RawKind):
                    raise DamagedPiece("no record begins here")
                text = file.read(length)
                if len(text) == length:
                    yield RawRecord(at_ns // 1_000_000, socket, RawKind(kind), text)
        except EOFError:
            return  # its writer was killed
        except (zlib.error, gzip.BadGzipFile) as error:
            raise DamagedPiece(str(error)) from None
