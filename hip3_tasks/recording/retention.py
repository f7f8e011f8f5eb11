"""The end of the kept tape: pieces of old days, and the oldest one when the disk fills up."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from hip3_tasks.domain.capture import day_start_ms
from hip3_tasks.errors import DamagedPiece
from hip3_tasks.files.retention import ROOM, free_mb
from hip3_tasks.tape.pieces import Piece, all_pieces, pieces_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Kept:
    """The tape on disk: the first instant of which it has anything, and its size."""

    since_ms: int | None = None
    bytes: int = 0


def kept(data_dir: Path) -> Kept:
    """Raises OSError."""
    size = sum(piece.path.stat().st_size for piece in all_pieces(data_dir))
    for piece in pieces_of(data_dir):
        with suppress(DamagedPiece):
            return Kept(piece.info().from_ms, size)
    return Kept(None, size)


def delete_old_pieces(data_dir: Path, *, tape_days: int, min_free_mb: int, at_ms: int) -> list[Path]:
    """Delete pieces of days more than `tape_days` before today, and the oldest ones until the disk has room.

    Returns the deleted files. Raises OSError.
    """
    first_day = datetime.fromtimestamp(at_ms / 1000, UTC).date() - timedelta(days=tape_days)
    first_ms = day_start_ms(str(first_day))
    deleted: list[Path] = []
    for piece in all_pieces(data_dir):
        if piece.start_ms >= first_ms and free_mb(data_dir) >= ROOM * min_free_mb:
            break
        _delete(piece)
        deleted.append(piece.path)
    if deleted:
        log.info("old_tape_deleted", files=len(deleted), last=str(deleted[-1]), tape_days=tape_days)
    return deleted


def _delete(piece: Piece) -> None:
    piece.path.unlink(missing_ok=True)
    with suppress(OSError):  # other pieces are there
        piece.path.parent.rmdir()
