"""What the signals of a day are owed: built to hold millions of them in some 150 bytes each."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from hip3_tasks.audit.recompute import Basis
from hip3_tasks.domain.capture import Capture, parse_signal_id, signal_id_of
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import BadCapture

T = TypeVar("T")

_TIME_BITS = 44
_ROW = struct.Struct("<ddddbIIQ")


@dataclass(frozen=True, slots=True)
class Owed:
    """A signal as the ledger knows it."""

    basis: Basis
    offsets_ms: tuple[int, ...]
    line: int
    """Where it stands in its file, from 1."""
    first: int
    """Where its captures stand in the ledger."""


class Ledger:
    """Signals, and which of their captures have a line."""

    def __init__(self) -> None:
        self._rows: dict[int, bytes] = {}
        self._settled = bytearray()
        self._coins: _Numbered[str] = _Numbered()
        self._offsets: _Numbered[tuple[int, ...]] = _Numbered()

    def add(self, signal: Signal, *, line: int) -> bool:
        """Take in a signal and the number of its line; False when it is there already."""
        key = self._coins.number_of(signal.market_key) << _TIME_BITS | signal.timestamp_ms
        if key in self._rows:
            return False
        basis = Basis.of(signal)
        self._rows[key] = _ROW.pack(
            basis.oracle_px,
            basis.best_px,
            basis.raw_edge_bps,
            math.nan if basis.mid_px is None else basis.mid_px,
            basis.side.sign,
            line,
            self._offsets.number_of(signal.offsets_ms),
            len(self._settled),
        )
        self._settled.extend(bytes(len(signal.offsets_ms)))
        return True

    def find(self, signal_id: str) -> Owed | None:
        """The signal of an id; None when there is none."""
        try:
            coin, timestamp_ms = parse_signal_id(signal_id)
            row = self._rows[self._coins.numbers[coin] << _TIME_BITS | timestamp_ms]
        except (BadCapture, KeyError):
            return None
        return self._owed(coin, row)

    def settle(self, owed: Owed, offset_ms: int) -> bool:
        """Note that a capture has a line; False when it had one already."""
        at = owed.first + owed.offsets_ms.index(offset_ms)
        had_one, self._settled[at] = self._settled[at], 1
        return not had_one

    def open(self) -> Iterator[tuple[Capture, int]]:
        """The captures without a line, each with the line of its signal."""
        for key, row in self._rows.items():
            coin, timestamp_ms = self._coins.values[key >> _TIME_BITS], key & (1 << _TIME_BITS) - 1
            owed = self._owed(coin, row)
            for at, offset_ms in enumerate(owed.offsets_ms, owed.first):
                if not self._settled[at]:
                    yield Capture(signal_id_of(coin, timestamp_ms), offset_ms, coin, timestamp_ms), owed.line

    def _owed(self, coin: str, row: bytes) -> Owed:
        oracle_px, best_px, raw_edge_bps, mid_px, sign, line, offsets, first = _ROW.unpack(row)
        side = Side.BUY if sign > 0 else Side.SELL
        basis = Basis(coin, side, oracle_px, best_px, raw_edge_bps, None if math.isnan(mid_px) else mid_px)
        return Owed(basis, self._offsets.values[offsets], line, first)


class _Numbered(Generic[T]):
    """Values that repeat, each under a small number."""

    def __init__(self) -> None:
        self.numbers: dict[T, int] = {}
        self.values: list[T] = []

    def number_of(self, value: T) -> int:
        number = self.numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number
