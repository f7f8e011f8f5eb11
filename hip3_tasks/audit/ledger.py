"""The captures that the signals of a day require: built to hold millions of signals in some 150 bytes each."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from hip3_tasks.domain.capture import Capture, parse_signal_id, signal_id_of
from hip3_tasks.domain.edge import Side, mid_px
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import BadCapture

T = TypeVar("T")

_TIME_BITS = 44
_ROW = struct.Struct("<ddddbIIQ")


@dataclass(frozen=True, slots=True)
class LedgerSignal:
    """The part of a signal that the ledger keeps: the values to measure its follow-ups against, and its place."""

    market_key: str
    timestamp_ms: int
    side: Side
    oracle_px: float
    best_px: float
    raw_edge_bps: float
    mid_px: float | None
    offsets_ms: tuple[int, ...]
    line: int
    """The number of its line, from 1."""
    first: int
    """The index of its first capture in the ledger; the others follow."""


class Ledger:
    """Signals, with a mark at each capture that has a line."""

    def __init__(self) -> None:
        self._rows: dict[int, bytes] = {}
        self._settled = bytearray()
        self._coins: _Numbered[str] = _Numbered()
        self._offsets: _Numbered[tuple[int, ...]] = _Numbered()

    def add(self, signal: Signal, *, line: int) -> bool:
        """Add a signal with the number of its line; False when it is there already."""
        key = self._coins.number_of(signal.market_key) << _TIME_BITS | signal.timestamp_ms
        if key in self._rows:
            return False
        mid = mid_px(signal.bid_px, signal.ask_px)
        self._rows[key] = _ROW.pack(
            signal.oracle_px,
            signal.best_px,
            signal.raw_edge_bps,
            math.nan if mid is None else mid,
            signal.side.sign,
            line,
            self._offsets.number_of(signal.offsets_ms),
            len(self._settled),
        )
        self._settled.extend(bytes(len(signal.offsets_ms)))
        return True

    def find(self, signal_id: str) -> LedgerSignal | None:
        """The signal of an id; None when there is none."""
        try:
            coin, timestamp_ms = parse_signal_id(signal_id)
            row = self._rows[self._coins.numbers[coin] << _TIME_BITS | timestamp_ms]
        except (BadCapture, KeyError):
            return None
        return self._signal(coin, timestamp_ms, row)

    def settle(self, signal: LedgerSignal, offset_ms: int) -> bool:
        """Mark a capture, which has a line; False when it was marked already."""
        index = signal.first + signal.offsets_ms.index(offset_ms)
        was_settled, self._settled[index] = self._settled[index], 1
        return not was_settled

    def open(self) -> Iterator[tuple[Capture, int]]:
        """The captures without a line, each with the line of its signal."""
        for key, row in self._rows.items():
            coin, timestamp_ms = self._coins.values[key >> _TIME_BITS], key & (1 << _TIME_BITS) - 1
            signal = self._signal(coin, timestamp_ms, row)
            for index, offset_ms in enumerate(signal.offsets_ms, signal.first):
                if not self._settled[index]:
                    yield Capture(signal_id_of(coin, timestamp_ms), offset_ms, coin, timestamp_ms), signal.line

    def _signal(self, coin: str, timestamp_ms: int, row: bytes) -> LedgerSignal:
        oracle_px, best_px, raw_edge_bps, mid, sign, line, offsets, first = _ROW.unpack(row)
        side = Side.BUY if sign > 0 else Side.SELL
        values = coin, timestamp_ms, side, oracle_px, best_px, raw_edge_bps, None if math.isnan(mid) else mid
        return LedgerSignal(*values, self._offsets.values[offsets], line, first)


class _Numbered(Generic[T]):
    """Repeated values, each replaced by a small number."""

    def __init__(self) -> None:
        self.numbers: dict[T, int] = {}
        self.values: list[T] = []

    def number_of(self, value: T) -> int:
        number = self.numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number
