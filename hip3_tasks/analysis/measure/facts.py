"""Facts about all selected signals that must be known before the pass over their follow-ups."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Self

import polars as pl
from pydantic import BaseModel

from hip3_tasks.analysis.loading.load import Data


class Facts(BaseModel, frozen=True):
    """Facts about the signals of some days; those of several parts unite to those of all."""

    first_ms: int | None
    """The times of the first and the last signal; None without signals."""
    last_ms: int | None
    thresholds_bps: Mapping[str, float | None]
    """The greatest threshold of each market's signals; None if they record none."""
    followups: Mapping[int, int]
    """The number of follow-ups by offset in ms."""

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Raises Unavailable when a file cannot be read."""
        at_ms = pl.col("timestamp_ms")
        markets = data.signals.lazy().group_by(pl.col("market_key").cast(pl.String))
        rows = markets.agg(first=at_ms.min(), last=at_ms.max(), bps=pl.col("threshold_bps").max())
        frame = rows.collect(engine="streaming")
        followups = Counter[int]()
        for chunk in data.chunks:
            followups.update(dict(chunk.read(pl.col("offset_ms"))["offset_ms"].value_counts().iter_rows()))
        return cls(
            first_ms=frame["first"].min(),  # type: ignore[arg-type]
            last_ms=frame["last"].max(),  # type: ignore[arg-type]
            thresholds_bps=dict(frame.select("market_key", "bps").iter_rows()),
            followups=dict(followups),
        )

    @classmethod
    def united(cls, parts: Iterable["Facts"]) -> Self:
        parts = list(parts)
        firsts, lasts = ({getattr(part, name) for part in parts} - {None} for name in ("first_ms", "last_ms"))
        thresholds_bps: dict[str, float | None] = {}
        for coin, bps in (item for part in parts for item in part.thresholds_bps.items()):
            known = [other for other in (bps, thresholds_bps.get(coin)) if other is not None]
            thresholds_bps[coin] = max(known, default=None)
        followups = sum((Counter(part.followups) for part in parts), Counter[int]())
        return cls(
            first_ms=min(firsts, default=None),
            last_ms=max(lasts, default=None),
            thresholds_bps=thresholds_bps,
            followups=followups,
        )
