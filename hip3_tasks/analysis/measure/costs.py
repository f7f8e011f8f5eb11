"""What signals say that their follow-ups' lines do not repeat: what taking one cost, and what edge it had to reach."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, nan
from typing import Self

import numpy as np
import polars as pl

from hip3_tasks.stats.bootstrap import Array, Integers


@dataclass(frozen=True, slots=True)
class Costs:
    """Of markets at instants. A signal is known by both, so that what was in force then is its own cost."""

    of_market: Array
    """By the number that polars has for it; the last stands for all further ones."""
    changes: Mapping[int, tuple[Integers, Array]] = field(default_factory=dict)
    """Of markets whose cost has changed: from when on it was what, the first for all that was before."""

    @classmethod
    def recorded(cls, signals: pl.DataFrame) -> Self:
        """Of markets without signals it is not known."""
        cost_bps = pl.col("cost_bps")
        ends = signals.lazy().group_by("market_key").agg(least=cost_bps.min(), most=cost_bps.max())
        found = ends.collect(engine="streaming")
        of_market = by_market(found["market_key"], found["least"], nan)
        changed = found.filter(pl.col("least") < pl.col("most"))["market_key"]
        if changed.is_empty():
            return cls(of_market)
        kept = "market_key", "timestamp_ms", "cost_bps"
        in_turn = signals.select(kept).filter(pl.col("market_key").is_in(changed.implode())).sort(kept)
        begins = in_turn.filter(
            (cost_bps != cost_bps.shift()).fill_null(value=True)
            | (pl.col("market_key") != pl.col("market_key").shift())
        )
        changes = {}
        for part in begins.partition_by("market_key"):
            times_ms, costs_bps = (part[name].to_numpy() for name in kept[1:])
            changes[int(part["market_key"].to_physical()[0])] = times_ms, costs_bps
        return cls(of_market, changes)

    def of(self, market_key: Integers, timestamp_ms: Integers) -> Array:
        """In bps; NaN: not known."""
        found = np.take(self.of_market, market_key, mode="clip")
        for market, (times_ms, costs_bps) in self.changes.items():
            at = np.flatnonzero(market_key == market)
            turn = np.searchsorted(times_ms, timestamp_ms[at], side="right") - 1
            found[at] = costs_bps[np.maximum(turn, 0)]
        return found


def recorded_bps(signals: pl.DataFrame, *, split_at_ms: int) -> Array:
    """By market: from what edge on its signals were recorded all the time, before the split and after it.

    The greatest threshold that was ever in force; where none was noted, the greater of the least edges of both parts.
    What was recorded in one part only must not be chosen, or judged, as if it had been in both.
    """
    edge_bps, is_late = pl.col("raw_edge_bps").min(), pl.col("timestamp_ms") >= split_at_ms
    noted = signals.lazy().group_by("market_key").agg(bps=pl.col("threshold_bps").max()).collect(engine="streaming")
    unsaid = noted.filter(pl.col("bps").is_null())["market_key"]
    rest = signals.lazy().filter(pl.col("market_key").is_in(unsaid.implode()))
    least = rest.group_by("market_key", is_late).agg(bps=edge_bps).group_by("market_key").agg(pl.col("bps").max())
    found = pl.concat([noted.drop_nulls(), least.collect(engine="streaming")])
    return by_market(found["market_key"], found["bps"], -inf)


def by_market(market_key: pl.Series, values: pl.Series, otherwise: float) -> Array:
    """Values by the number that polars has for a market; the last, as for any other, is `otherwise`."""
    numbers = market_key.to_physical().to_numpy()
    found = np.full(int(numbers.max(initial=0)) + 2, otherwise)
    found[numbers] = values.to_numpy()
    return found
