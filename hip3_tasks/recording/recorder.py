"""Takes the tape out of Redis as it grows, and writes it to pieces of a minute.

A second is read at a time, of some markets at once, up to the watermark: no entry at or before it can follow. An entry
is on disk when its minute is over, or the recorder ends; until then Redis has it, so a recorder that is killed reads it
again. What lies before the instant up to which everything was read is never read twice, so nothing is doubled.
"""

from contextlib import suppress
from pathlib import Path

import polars as pl
import structlog

from hip3_tasks.domain.capture import HOUR_MS, MINUTE_MS
from hip3_tasks.domain.market import Entry, Gap, decode_entry
from hip3_tasks.errors import DamagedPiece, MalformedEntry
from hip3_tasks.files.rules_log import read_rules
from hip3_tasks.store.tape import RawEntries
from hip3_tasks.store.tape_log import LogPart, TapeLog
from hip3_tasks.tape.columns import HOLE_SEQ, KEY, UNREADABLE, Row, frame_of, row_of
from hip3_tasks.tape.load import NOT_RECORDED
from hip3_tasks.tape.pieces import (
    Piece,
    PieceInfo,
    minute_path,
    pieces_of,
    remove_parts,
    rules_between,
    write_piece,
)

log = structlog.get_logger()

SPAN_MS = 2_000
MAX_BEHIND_MS = 60_000
"""A recorder that is further behind looks whether the server still has the tape that follows."""
COINS_AT_ONCE = 8
"""A call for more markets would hold up the server, and with it the captures."""
LEVEL, GROUP_ROWS = 3, 1 << 16
TAKEN_OVER_SEQ = -1
"""The place of what a server says is in force at an instant, before every entry of that millisecond."""
NOT_THERE = "not recorded: the server no longer had the tape when it was read"

Place = tuple[int, int] | None
"""Instant and sequence number of an entry on the server; None where it has none."""


class Recorder:
    """The recorder of one feed."""

    def __init__(self, tape: TapeLog, data_dir: Path) -> None:
        self._tape, self._data_dir = tape, data_dir
        self._frames: list[pl.DataFrame] = []
        """The rows that were read and are in no piece yet."""
        self._from_ms = 0
        """The piece that is not written yet begins here."""
        self._last: dict[str, Place] = {}
        """The entry of each market that was in force at `read_ms`, when it was read."""
        self.read_ms: int | None = None
        """Every entry up to here was read; None before the first time."""
        self.written_ms: int | None = None
        """Every entry up to here is on disk."""
        self.hole: tuple[int, int] | None = None
        """The first and the last instant of the last time that the server no longer had."""

    @property
    def unwritten_ms(self) -> int:
        """The time that was read and is not on disk."""
        return 0 if self.read_ms is None else self.read_ms + 1 - self._from_ms

    def resume(self) -> None:
        """Continue after the newest piece that can be read; without one, at the start of the tape."""
        remove_parts(self._data_dir)
        newest = pieces_of(self._data_dir)[::-1]
        for number, piece in enumerate(newest):
            try:
                until_ms, last = piece.info().until_ms, _last_places([piece])
            except DamagedPiece as error:
                log.error("piece_damaged", error=str(error))
                continue
            with suppress(DamagedPiece):
                last = _last_places(newest[number + 1 : number + 2]) | last
            self.written_ms = self.read_ms = until_ms
            self._from_ms, self._last = until_ms + 1, last
            return

    def read(self) -> int:
        """Read on by one step; return how far the watermark is ahead, in ms. Raises redis.RedisError."""
        watermark_ms = self._tape.watermark_ms() or 0
        coins, span_ms = self._tape.coins(), SPAN_MS
        if self.read_ms is None or watermark_ms - self.read_ms > MAX_BEHIND_MS:
            self._skip_to(self._tape.first_ms(coins), coins)
            span_ms = max(span_ms, self._idle_ms(coins))
        if self.read_ms is None or watermark_ms <= self.read_ms:
            return 0
        up_to_ms = min(watermark_ms, self.read_ms + span_ms)
        rows: list[Row] = []
        last: dict[str, Place] = {}
        known = sorted({*coins, *self._last})
        for first in range(0, len(known), COINS_AT_ONCE):
            some = known[first : first + COINS_AT_ONCE]
            parts = self._tape.read(some, after_ms=self.read_ms, up_to_ms=up_to_ms)
            if parts is None:
                return 0
            for part in parts:
                rows += self._rows(part, self.read_ms)
                last[part.coin] = _place((part.entries or part.in_force)[-1:])
        if rows:
            self._frames.append(frame_of(rows))
        self._last, self.read_ms = last, up_to_ms
        return watermark_ms - up_to_ms

    def write(self, *, is_ending: bool = False) -> None:
        """Write the minutes that are over, and at the end the last one too. Raises OSError or PolarsError."""
        while self.read_ms is not None and self._from_ms <= self.read_ms:
            end_ms = self._from_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS - 1
            if end_ms > self.read_ms and not is_ending:
                return
            self._write_minute(min(end_ms, self.read_ms))

    def _skip_to(self, first_ms: int | None, coins: list[str]) -> None:
        """Begin at the oldest entry that the server has, if what follows is no longer there: a hole.

        The pieces show it by the times that they cover; within a minute, that piece has a gap of every coin.
        """
        if first_ms is None or (self.read_ms is not None and first_ms <= self.read_ms + SPAN_MS):
            return
        if self.read_ms is not None:
            self.write(is_ending=True)
            self.hole = self.read_ms + 1, first_ms - 1
            if self.read_ms // MINUTE_MS == first_ms // MINUTE_MS:
                gap = Entry(self.hole[0], Gap(NOT_RECORDED))
                self._frames.append(frame_of(row_of(coin, HOLE_SEQ, gap) for coin in {*coins, *self._last}))
            log.error("tape_not_recorded", from_ms=self.hole[0], until_ms=self.hole[1])
        self._from_ms, self.read_ms = first_ms, first_ms - 1
        self._last.clear()

    def _idle_ms(self, coins: list[str]) -> int:
        """The time ahead without an entry, when no feed ran. It is read at once; more than an hour becomes a hole."""
        next_ms = None if self.read_ms is None else self._tape.first_ms(coins, after_ms=self.read_ms)
        if self.read_ms is None or next_ms is None:
            return 0
        idle_ms = next_ms - 1 - self.read_ms
        if idle_ms <= HOUR_MS:
            return idle_ms
        self.write(is_ending=True)
        self._from_ms, self.read_ms = next_ms, next_ms - 1
        return 0

    def _rows(self, part: LogPart, read_ms: int) -> list[Row]:
        """The rows of new entries, and of the one in force before them if it is not the one that was read.

        A server that lost data may have got a gap, or another state, at an instant that was read already.
        """
        rows = [row_of(part.coin, *_decoded(*raw)) for raw in part.entries]
        if self._last.get(part.coin, _place(part.in_force)) != _place(part.in_force):
            rows.insert(0, row_of(part.coin, TAKEN_OVER_SEQ, _again(part.in_force, read_ms + 1)))
        return rows

    def _write_minute(self, until_ms: int) -> None:
        path, from_ms = minute_path(self._data_dir, self._from_ms), self._from_ms
        frame = pl.concat([frame_of([]), *self._frames])
        rows = frame.filter(pl.col("at_ms") <= until_ms)
        begun = Piece(path, from_ms // MINUTE_MS * MINUTE_MS, MINUTE_MS)
        if path.exists():
            try:
                info = begun.info()
                if info.until_ms < from_ms:  # else a damaged piece followed, and all is read again
                    from_ms, rows = info.from_ms, pl.concat([begun.scan().collect(), rows])
            except DamagedPiece as error:
                log.error("piece_damaged", error=str(error))
        info = PieceInfo(
            from_ms=from_ms,
            until_ms=until_ms,
            rules=rules_between(read_rules(self._data_dir), from_ms, until_ms),
        )
        write_piece(path, rows.sort(KEY), info, level=LEVEL, group_rows=GROUP_ROWS)
        self._frames = [frame.filter(pl.col("at_ms") > until_ms)]
        self._from_ms, self.written_ms = until_ms + 1, until_ms


def _place(raw: RawEntries) -> Place:
    return _id(raw[-1][0]) if raw else None


def _id(entry_id: bytes) -> tuple[int, int]:
    at_ms, _, seq = entry_id.partition(b"-")
    return int(at_ms), int(seq)


def _decoded(entry_id: bytes, fields: list[bytes]) -> tuple[int, Entry]:
    """Sequence number and entry; a gap for one that cannot be read."""
    at_ms, seq = _id(entry_id)
    try:
        return seq, decode_entry(entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))
    except MalformedEntry:
        return seq, Entry(at_ms, Gap(UNREADABLE))


def _again(raw: RawEntries, at_ms: int) -> Entry:
    """The state in force by the server, from an instant on: it is no news."""
    if not raw:
        return Entry(at_ms, Gap(NOT_THERE))
    entry = _decoded(*raw[0])[1]
    return Entry(at_ms, entry.value, entry.conditions and entry.conditions.put_down_again())


def _last_places(pieces: list[Piece]) -> dict[str, Place]:
    """The last entry of each market in some pieces. Raises DamagedPiece."""
    if not pieces:
        return {}
    try:
        rows = pl.concat(piece.scan().select(KEY) for piece in pieces).sort(KEY)
        last = rows.group_by("coin").last().collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DamagedPiece(f"{pieces[0].path}: {error}") from None
    return {coin: (at_ms, seq) for coin, at_ms, seq in last.iter_rows()}
