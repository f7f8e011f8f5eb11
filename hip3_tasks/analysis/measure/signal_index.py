"""Numbers of signals, found by market and time, which identify a signal."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from hip3_tasks.analysis.measure.codes import codes
from hip3_tasks.stats.bootstrap import Array, Integers


@dataclass(frozen=True, slots=True)
class SignalIndex:
    """A number for each signal."""

    keys: Integers
    """Ascending; int64, (signals,)."""
    values: Array

    @classmethod
    def from_signals(cls, signals: pl.DataFrame, values: pl.Series) -> Self:
        keys = _keys(codes(signals["market_key"]), signals["timestamp_ms"].to_numpy())
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], values.to_numpy()[order])

    def find(self, market_key: Integers, timestamp_ms: Integers) -> Array:
        """The number of each row's signal, given its market's code; NaN for an unknown signal; float64, (rows,)."""
        if not len(self.keys):
            return np.full(len(market_key), np.nan)
        wanted = _keys(market_key, timestamp_ms)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, self.values[place], np.nan)


def _keys(market_key: Integers, timestamp_ms: Integers) -> Integers:
    """A number for each market and instant; an instant in ms takes 44 bits."""
    return (market_key.astype(np.int64) << 44) | timestamp_ms
