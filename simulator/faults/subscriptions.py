"""Faults of the replies to subscriptions."""

from simulator.faults.fault import Covers, SubscribeReply, VenueFault
from simulator.listing import Universe


def _without_covered(universe: Universe, covers: Covers) -> Universe:
    return {dex: [market for market in markets if not covers(market["name"])] for dex, markets in universe.items()}


SUBSCRIPTION_FAULTS = (
    VenueFault(name="no-ack", text="a subscription is never answered", reply=SubscribeReply.SILENCE),
    VenueFault(
        name="refused-subscription", text="a subscription is answered by an error frame", reply=SubscribeReply.ERROR
    ),
    VenueFault(
        name="no-first-bbo",
        text="a subscription of bbo is acknowledged, and its first frame is the next change",
        reply=SubscribeReply.NO_FIRST_BBO,
    ),
    VenueFault(
        name="late-coin",
        text="meta lists a coin that the websocket does not know: a subscription ends the connection",
        reply=SubscribeReply.CLOSE,
    ),
    VenueFault(
        name="not-listed",
        text="neither meta nor the websocket know the coin; it is a new listing when this ends",
        reply=SubscribeReply.CLOSE,
        universe=_without_covered,
    ),
)
