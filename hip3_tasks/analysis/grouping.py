"""What signals can be told apart by: market, side, session, edge or hour."""

from enum import StrEnum
from itertools import pairwise

import polars as pl

HOUR_MS = 3_600_000
SLOT_MS = HOUR_MS // 2
"""Sessions begin and end on half hours."""
EDGE_BREAKS_BPS = (5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0)

SESSIONS = pl.Enum(["regular", "extended", "weekend"])
HOURS = pl.Enum([f"{hour:02}:00" for hour in range(24)])
EDGES = pl.Enum(
    [
        f"< {EDGE_BREAKS_BPS[0]:g} bps",
        *(f"{low:g}-{high:g} bps" for low, high in pairwise(EDGE_BREAKS_BPS)),
        f">= {EDGE_BREAKS_BPS[-1]:g} bps",
    ]
)


class By(StrEnum):
    """What the groups of a report are."""

    MARKET = "market"
    SIDE = "side"
    SESSION = "session"
    EDGE = "edge"
    HOUR = "hour"

    def label(self, frame: pl.DataFrame, *, timestamp: str, edge: str) -> pl.LazyFrame:
        """The rows with their `group`, given the names of the columns of the signal's time and its edge at T0."""
        rows = frame.lazy()
        if self is By.SESSION:
            # Few half hours have many rows, and to know what time it was in New York takes 0.3 us each.
            slot = pl.col(timestamp) // SLOT_MS
            slots = frame.select(slot.unique().alias("slot"))
            sessions = slots.select("slot", session_of(pl.col("slot") * SLOT_MS).alias("group"))
            return rows.with_columns(slot.alias("slot")).join(sessions.lazy(), on="slot").drop("slot")
        if self is By.HOUR:
            return rows.with_columns((pl.col(timestamp) // HOUR_MS % 24).cast(pl.UInt8).cat.to(HOURS).alias("group"))
        if self is By.EDGE:
            reached = (pl.col(edge) >= least_bps for least_bps in EDGE_BREAKS_BPS)
            return rows.with_columns(pl.sum_horizontal(reached).cast(pl.UInt8).cat.to(EDGES).alias("group"))
        return rows.with_columns(pl.col("market_key" if self is By.MARKET else "side").alias("group"))


def session_of(timestamp_ms: pl.Expr) -> pl.Expr:
    """As New York has it: regular Mon-Fri 09:30-16:00, else extended from Sun 20:00 to Fri 20:00, else weekend.

    Off hours, Fri 20:00 to Sun 20:00, an oracle is a slow average of its own book. Holidays are not known here.
    """
    utc = pl.from_epoch(timestamp_ms, time_unit="ms").dt.replace_time_zone("UTC")
    there = utc.dt.convert_time_zone("America/New_York")
    day, minute = there.dt.weekday(), there.dt.hour().cast(pl.Int32) * 60 + there.dt.minute()
    weekend = (day == 6) | ((day == 5) & (minute >= 20 * 60)) | ((day == 7) & (minute < 20 * 60))
    regular = day.is_between(1, 5) & minute.is_between(9 * 60 + 30, 16 * 60, closed="left")
    number = pl.when(weekend).then(2).when(regular).then(0).otherwise(1)
    return number.cast(pl.UInt8).cat.to(SESSIONS)
