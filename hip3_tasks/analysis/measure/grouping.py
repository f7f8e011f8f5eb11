"""What signals can be told apart by: market, side, session, edge or hour."""

from enum import StrEnum
from itertools import pairwise

import polars as pl

from hip3_tasks.analysis.loading.schemas import COIN, SIDE
from hip3_tasks.domain.capture import HOUR_MS

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

    @property
    def kind(self) -> pl.DataType:
        """What the groups are to polars, in the order that is theirs."""
        kinds = {By.MARKET: COIN, By.SIDE: SIDE, By.SESSION: SESSIONS, By.EDGE: EDGES, By.HOUR: HOURS}
        return kinds[self]

    def groups(self, frame: pl.DataFrame, *, timestamp: str, edge: str) -> pl.Series:
        """The group of each row, given the names of the columns of the signal's time and its edge at T0."""
        if self is By.SESSION:
            # Few half hours have many rows, and to know what time it was in New York takes 0.3 us each.
            slots = frame.select(slot=pl.col(timestamp) // SLOT_MS)
            sessions = slots.unique().with_columns(group=session_of(pl.col("slot") * SLOT_MS))
            return slots.join(sessions, on="slot", maintain_order="left")["group"]
        if self is By.HOUR:
            return frame.select(group=(pl.col(timestamp) // HOUR_MS % 24).cast(pl.UInt8).cat.to(HOURS))["group"]
        if self is By.EDGE:
            reached = (pl.col(edge) >= least_bps for least_bps in EDGE_BREAKS_BPS)
            return frame.select(group=pl.sum_horizontal(reached).cast(pl.UInt8).cat.to(EDGES))["group"]
        return frame["market_key" if self is By.MARKET else "side"].alias("group")


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
