"""The clock of the channels that are pushed at a pace of their own: whole books and all mids."""

import asyncio
from typing import Protocol

from simulator.subscription import FAST, Subscription
from simulator.venue_state import VenueState

FAST_INTERVAL_S = 0.54
TICKS_OF_SLOW_PUSH = 10


class SnapshotSender(Protocol):
    """The part of the venue server that this clock drives."""

    def send_snapshot(self, subscription: Subscription) -> None: ...


async def push_snapshots(venue: SnapshotSender, state: VenueState) -> None:
    """Send fast books every 0.54 s, and whole books and mids every 5.4 s, as measured on the venue. Never returns."""
    tick = 0
    while True:
        await asyncio.sleep(FAST_INTERVAL_S)
        tick += 1
        for subscription in state.subscribed("l2Book", "allMids"):
            if subscription.detail == FAST or tick % TICKS_OF_SLOW_PUSH == 0:
                venue.send_snapshot(subscription)
