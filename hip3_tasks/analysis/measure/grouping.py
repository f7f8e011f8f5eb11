"""The groups of a report: signals by one or two of their properties."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.schemas import COIN, SIDE, TRIGGER
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.codes import codes, labels
from hip3_tasks.analysis.measure.signal_index import SignalIndex
from hip3_tasks.domain.capture import HOUR_MS
from hip3_tasks.domain.sessions import Session, session_at
from hip3_tasks.stats.bootstrap import Integers

SLOT_MS = HOUR_MS // 2
"""Sessions begin and end on half hours."""
MAX_COINS = 1 << 20
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Bands:
    """Bands of a number: the breaks between them, and the column of signals that has it."""

    column: str
    breaks: tuple[float, ...]
    unit: str

    def names(self) -> list[str]:
        low_high = pairwise(self.breaks)
        between = [f"{low:g}-{high:g} {self.unit}" for low, high in low_high]
        return [f"< {self.breaks[0]:g} {self.unit}", *between, f">= {self.breaks[-1]:g} {self.unit}", UNKNOWN]

    def codes(self, value: pl.Expr) -> pl.Expr:
        reached = pl.sum_horizontal((value >= low).cast(pl.UInt8) for low in self.breaks)
        return pl.when(value.is_null()).then(len(self.breaks) + 1).otherwise(reached)


BANDS = {
    By.EDGE: _Bands("raw_edge_bps", (5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0), "bps"),
    By.ORACLE_AGE: _Bands("oracle_age_ms", (100, 300, 700, 3000), "ms"),
    By.SPREAD: _Bands("spread_bps", (1, 2, 5, 10, 20, 50), "bps"),
    By.LAG: _Bands("lag_ms", (150, 250, 350, 500, 1000), "ms"),
    By.SIZE: _Bands("touch_usd", (10, 100, 1000, 10_000, 100_000), "USD"),
}
_NAMES: Mapping[By, list[str]] = {
    By.SIDE: list(SIDE.categories),
    By.SESSION: list(Session),
    By.HOUR: [f"{hour:02}:00" for hour in range(24)],
    By.TRIGGER: [*TRIGGER.categories, UNKNOWN],
    **{by: bands.names() for by, bands in BANDS.items()},
}


@dataclass(frozen=True, slots=True)
class Grouping:
    """The properties of a report's groups. A group has a code; sorting codes by `order` gives the report's order."""

    parts: tuple[By, ...]
    by_signal: Mapping[By, SignalIndex]
    """The codes of the properties that follow-ups do not tell."""

    @classmethod
    def from_signals(cls, parts: Sequence[By], signals: pl.DataFrame) -> Self:
        codes_of = {by: bands.codes(pl.col(bands.column)) for by, bands in BANDS.items() if by is not By.EDGE}
        codes_of[By.TRIGGER] = pl.col("trigger").to_physical().fill_null(len(TRIGGER.categories))
        own = {by: signals.select(codes_of[by]).to_series() for by in parts if by in codes_of}
        return cls(tuple(parts), {by: SignalIndex.from_signals(signals, code) for by, code in own.items()})

    def __str__(self) -> str:
        return ",".join(self.parts)

    def codes(self, frame: pl.DataFrame, *, timestamp: str, edge: str) -> Integers:
        """The code of each row's group, given the names of the columns with the signal's time and edge; (rows,)."""
        code = np.zeros(frame.height, dtype=np.int64)
        for by in self.parts:
            code = code * _width(by) + self._part(by, frame, timestamp, edge)
        return code

    def names(self, group_codes: Iterable[int]) -> dict[int, str]:
        """The names of groups, in the order of the report."""
        parts = {code: self._split(code) for code in group_codes}
        coins = _coins(
            {part[self.parts.index(By.MARKET)] for part in parts.values()} if By.MARKET in self.parts else ()
        )

        def name(by: By, part: int) -> str:
            return coins[part] if by is By.MARKET else _NAMES[by][part]

        def order(code: int) -> list[Any]:
            return [coins[part] if by is By.MARKET else part for by, part in zip(self.parts, parts[code], strict=True)]

        return {code: ", ".join(map(name, self.parts, parts[code])) for code in sorted(parts, key=order)}

    def _split(self, code: int) -> list[int]:
        parts = []
        for by in reversed(self.parts):
            code, part = divmod(code, _width(by))
            parts.append(part)
        return parts[::-1]

    def _part(self, by: By, frame: pl.DataFrame, timestamp: str, edge: str) -> Integers:
        if by is By.SESSION:
            # A half hour has one session, and computing it takes 1 us: once a half hour, not once a row.
            slots, sessions = frame[timestamp] // SLOT_MS, list(Session)
            place = {slot: sessions.index(session_at(slot * SLOT_MS)) for slot in slots.unique()}
            return slots.replace_strict(place, return_dtype=pl.Int64).to_numpy()
        if by is By.HOUR:
            return (frame[timestamp] // HOUR_MS % 24).to_numpy()
        if by is By.EDGE:
            return frame.select(BANDS[by].codes(pl.col(edge))).to_series().to_numpy()
        if by in self.by_signal:
            values = self.by_signal[by].find(codes(frame["market_key"]), frame[timestamp].to_numpy())
            return np.where(np.isnan(values), _width(by) - 1, values).astype(np.int64)
        return codes(frame["market_key" if by is By.MARKET else "side"])


def _width(by: By) -> int:
    return MAX_COINS if by is By.MARKET else len(_NAMES[by])


def _coins(coin_codes: Iterable[int]) -> dict[int, str]:
    frame = pl.DataFrame({"code": list(coin_codes)}, schema={"code": pl.UInt32})
    names = frame.select("code", name=labels("code", COIN).cast(pl.String))
    return dict(names.iter_rows())
