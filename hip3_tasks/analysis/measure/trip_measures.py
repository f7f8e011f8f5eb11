"""Measures of the orders of a group: how many were had, and what their round trips paid."""

from typing import Annotated

from pydantic import BaseModel

from hip3_tasks.analysis.measure.measures import Count, Ratio, Shown, sums_of, values_of
from hip3_tasks.charts.number_format import bps, count, share, usd
from hip3_tasks.domain.edge import BPS
from hip3_tasks.stats.bootstrap import Estimate
from hip3_tasks.stats.cluster_totals import Totals


class Trip(BaseModel):
    """Orders at the touch of T0 that arrive after one latency, and are closed after one time.

    `had` is the share of orders that were filled. `round_trip_bps` is the mean result of those whose way out is known:
    in at the touch on arrival, out at the other touch, after two fees and slippage; `round_trip_won` is the share above
    0. `round_trip_sized_bps` weighs each by its notional, the least of the touches at T0, entry and exit, and
    `gain_usd` is their sum in dollars.
    """

    latency_ms: int
    held_ms: int
    n: Annotated[int, Count("n"), Shown("orders", count)]
    clusters: Annotated[int, Shown("clusters with a trip", count)]
    had: Annotated[Estimate, Ratio("had", "n"), Shown("had", share, column="had")]
    trips: Annotated[int, Count("trip_n"), Shown("round trips", count, wide="trips")]
    round_trip_bps: Annotated[Estimate, Ratio("trip", "trip_n"), Shown("a round trip when had", bps, column="trip")]
    round_trip_won: Annotated[Estimate, Ratio("trip_won", "trip_n"), Shown("round trip above 0", share, "  above 0")]
    round_trip_sized_bps: Annotated[
        Estimate, Ratio("gain", "usd"), Shown("round trip, by size", bps, "  weighted by size")
    ]
    notional_usd: Annotated[
        float | None, Ratio("usd", "usd_n", has_band=False), Shown("mean size, USD", usd, "size, USD")
    ]
    gain_usd: Annotated[float | None, Shown("all trips together, USD", usd, "all together, USD", wide="USD")]
    gain_usd_a_day: Annotated[float | None, Shown("a day, USD", usd, "a day, USD")]
    by_tape: bool
    """Whether they are exact, by the kept tape; or by follow-ups alone."""

    @property
    def offset_ms(self) -> int:
        """The follow-up's offset that they go with: the time held after an exact arrival, or that of the way out."""
        return self.held_ms if self.by_tape else self.latency_ms + self.held_ms


TRIP_SUMS = sums_of(Trip)
"""The sums over clusters that the measures of a `Trip` need."""


def trip(latency_ms: int, held_ms: int, totals: Totals, *, days: float, by_tape: bool) -> Trip:
    """Compute the measures from sums over clusters; `days` is the time of all signals."""
    gain_usd = totals["gain"] / BPS if totals["usd_n"] else None
    return Trip(
        latency_ms=latency_ms,
        held_ms=held_ms,
        by_tape=by_tape,
        clusters=totals.nonzero_of("trip_n"),
        gain_usd=gain_usd,
        gain_usd_a_day=None if gain_usd is None else gain_usd / days,
        **values_of(Trip, totals),
    )
