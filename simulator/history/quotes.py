"""Convert ticks to quotes: prices with at most five significant digits, sizes with at most three decimals."""

from collections.abc import Sequence

import numpy as np

from simulator.history.arrivals import Floats, Ints
from simulator.history.prices import Books

MIN_SZ, MAX_SZ = 0.001, 5000.0


class Quotes:
    """Converts the books of signals. `decimals` is per market, `market` the index of each signal's market."""

    def __init__(self, decimals: Sequence[int], market: Ints, rng: np.random.Generator) -> None:
        self.rng = rng
        self._ticks_in_1 = 10.0 ** np.array(decimals)[market]

    def columns(self, books: Books, sign: Ints) -> dict[str, Floats]:
        """The price and size columns of a record, float64, (signals,) or (signals * offsets,)."""
        each = books.oracle.size // len(sign)
        ticks_in_1, is_buy = np.repeat(self._ticks_in_1, each), np.repeat(sign > 0, each)
        oracle, touch, other = books.oracle.ravel(), books.touch.ravel(), books.other.ravel()
        touch_px, other_px = touch / ticks_in_1, other / ticks_in_1
        touch_sz, other_sz = self._sizes(touch.size), self._sizes(touch.size)
        return {
            "oracle_px": oracle / ticks_in_1,
            "best_px": touch_px,
            "best_size": touch_sz,
            "bid_px": np.where(is_buy, other_px, touch_px),
            "bid_sz": np.where(is_buy, other_sz, touch_sz),
            "ask_px": np.where(is_buy, touch_px, other_px),
            "ask_sz": np.where(is_buy, touch_sz, other_sz),
            "mark_px": ((touch + other) // 2 + self.rng.integers(-1, 2, touch.size)) / ticks_in_1,
        }

    def _sizes(self, count: int) -> Floats:
        return np.rint(np.clip(self.rng.lognormal(1.6, 1.2, count), MIN_SZ, MAX_SZ) * 1000) / 1000
