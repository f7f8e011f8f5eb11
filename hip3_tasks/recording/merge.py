"""Merges the pieces of a time that is over: minutes to an hour, hours to a day.

The rows of a longer piece stand by market, so that a market is read without the others. The shorter pieces go once the
longer one has its name; until then, and after a death between the two, the longer one counts.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import polars as pl
import structlog

from hip3_tasks.domain.capture import DAY_MS, HOUR_MS
from hip3_tasks.errors import DamagedPiece
from hip3_tasks.tape.columns import KEY
from hip3_tasks.tape.load import batches, parts_of, rows_by_coin, scan_parts
from hip3_tasks.tape.pieces import (
    PART,
    TAPE,
    Piece,
    PieceInfo,
    all_pieces,
    day_path,
    hour_path,
    merged_rules,
    pieces_of,
    write_piece,
)

log = structlog.get_logger()

LEVEL = 9
MAX_ROWS = 1_000_000
"""Rows in memory at once, about 350 MB."""
GROUP_ROWS = 1 << 18


def merge_pieces(data_dir: Path, *, until_ms: int, given_up: set[Path] | None = None) -> int:
    """Merge the pieces of each hour and day that ends before an instant; return how many pieces came of it.

    A time with a damaged piece stays as it is, and its path is added to `given_up`, which is not tried again. Raises
    OSError or PolarsError.
    """
    merged, given_up = 0, set() if given_up is None else given_up
    for length_ms, path_of in ((HOUR_MS, hour_path), (DAY_MS, day_path)):
        shorter = [piece for piece in pieces_of(data_dir) if piece.length_ms < length_ms]
        for start_ms, some in groupby(shorter, key=lambda piece: piece.start_ms // length_ms * length_ms):
            path = path_of(data_dir, start_ms)
            if start_ms + length_ms <= until_ms and path not in given_up:
                try:
                    _merge(list(some), path, data_dir)
                    merged += 1
                except DamagedPiece as error:
                    log.error("piece_damaged", error=str(error))
                    given_up.add(path)
    _remove_covered(data_dir)
    return merged


def _merge(pieces: Sequence[Piece], path: Path, data_dir: Path) -> None:
    parts, damaged = parts_of(pieces)
    if damaged:
        raise DamagedPiece(damaged[0])
    folder = Path(mkdtemp(prefix="merge", suffix=PART, dir=data_dir / TAPE))
    try:
        sorted_files = []
        counts = rows_by_coin(parts)
        for number, coins in enumerate(batches(counts, counts, max_rows=MAX_ROWS)):
            rows = scan_parts(parts, coins).filter(pl.col("coin").is_in(coins)).sort(KEY)
            sorted_files.append(folder / f"{number}.parquet")
            rows.sink_parquet(sorted_files[-1], compression="lz4")
        info = PieceInfo(
            from_ms=parts[0].info.from_ms,
            until_ms=parts[-1].info.until_ms,
            rules=tuple(merged_rules(part.info for part in parts)),
        )
        rows = pl.concat(pl.scan_parquet(file, glob=False) for file in sorted_files)
        write_piece(path, rows, info, level=LEVEL, group_rows=GROUP_ROWS)
    finally:
        rmtree(folder, ignore_errors=True)
    log.info("tape_merged", piece=str(path.relative_to(data_dir)), pieces=len(parts))


def _remove_covered(data_dir: Path) -> None:
    """Remove pieces that a longer one stands for, and folders of days that have become empty."""
    counting = {piece.path for piece in pieces_of(data_dir)}
    folders = set()
    for piece in all_pieces(data_dir):
        if piece.path not in counting:
            piece.path.unlink(missing_ok=True)
            folders.add(piece.path.parent)
    for folder in folders:
        if folder.name != TAPE and not any(folder.iterdir()):
            folder.rmdir()
