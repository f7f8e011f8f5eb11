"""The groups of a report: signals by market, side, session, edge or hour."""

from enum import StrEnum
from itertools import pairwise

import polars as pl

from hip3_tasks.analysis.loading.schemas import COIN, SIDE
from hip3_tasks.domain.capture import HOUR_MS
from hip3_tasks.domain.sessions import Session, session_at

SLOT_MS = HOUR_MS // 2
"""Sessions begin and end on half hours."""
EDGE_BREAKS_BPS = (5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0)

SESSIONS = pl.Enum(Session)
HOURS = pl.Enum([f"{hour:02}:00" for hour in range(24)])
EDGES = pl.Enum(
    [
        f"< {EDGE_BREAKS_BPS[0]:g} bps",
        *(f"{low:g}-{high:g} bps" for low, high in pairwise(EDGE_BREAKS_BPS)),
        f">= {EDGE_BREAKS_BPS[-1]:g} bps",
    ]
)


class By(StrEnum):
    """The property by which a report groups signals."""

    MARKET = "market"
    SIDE = "side"
    SESSION = "session"
    EDGE = "edge"
    HOUR = "hour"

    @property
    def kind(self) -> pl.DataType:
        """The polars type of the groups; its categories are in the order of the report."""
        kinds = {By.MARKET: COIN, By.SIDE: SIDE, By.SESSION: SESSIONS, By.EDGE: EDGES, By.HOUR: HOURS}
        return kinds[self]

    def groups(self, frame: pl.DataFrame, *, timestamp: str, edge: str) -> pl.Series:
        """The group of each row, given the names of the columns with the signal's time and with its edge at T0."""
        if self is By.SESSION:
            # A half hour has one session, and computing it takes 1 us: once a half hour, not once a row.
            slots = frame[timestamp] // SLOT_MS
            sessions = {slot: session_at(slot * SLOT_MS) for slot in slots.unique()}
            return slots.replace_strict(sessions, return_dtype=SESSIONS).alias("group")
        if self is By.HOUR:
            return frame.select(group=(pl.col(timestamp) // HOUR_MS % 24).cast(pl.UInt8).cat.to(HOURS))["group"]
        if self is By.EDGE:
            breaks_reached = pl.sum_horizontal(pl.col(edge) >= low_bps for low_bps in EDGE_BREAKS_BPS)
            return frame.select(group=breaks_reached.cast(pl.UInt8).cat.to(EDGES))["group"]
        return frame["market_key" if self is By.MARKET else "side"].alias("group")
