"""The faults that a venue has switched on, applied to its frames and answers."""

import asyncio
from collections.abc import Callable, Iterator

from simulator.faults.fault import Breakable, FaultSwitch, FrameData, FrameEffect, Moment, SubscribeReply, VenueFault
from simulator.faults.outages import TICKS_PER_S
from simulator.info.answer import InfoAnswer, Question
from simulator.listing import Universe


class ActiveFaults:
    """Switches of a venue; `elapsed_s` gives the seconds since its start. Faults apply in the order of the switches."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self.switches: list[FaultSwitch] = []
        self._elapsed_s = elapsed_s

    def bbo(self, data: FrameData) -> FrameData | None:
        """The data of a bbo frame as it is sent; None when it is not sent."""
        coin = data["coin"]
        shown = data | {"time": self.block_time_ms(coin, data["time"])}
        return self._changed(coin, shown, lambda fault: fault.bbo)

    def ctx(self, coin: str, ctx: FrameData) -> FrameData | None:
        """The context as it is sent; None when it is not sent."""
        return self._changed(coin, ctx, lambda fault: fault.ctx)

    def block_time_ms(self, coin: str, time_ms: int) -> int:
        return time_ms + sum(switch.fault.block_time_shift_ms for switch in self._on(coin))

    def reply(self, coin: str) -> SubscribeReply | None:
        """The reply to a subscription of the coin; None for the right one."""
        replies = (switch.fault.reply for switch in self._on(coin))
        return next((reply for reply in replies if reply is not None), None)

    def universe(self, universe: Universe) -> Universe:
        """The universe as the info endpoint shows it."""
        for switch in self._on():
            if switch.fault.universe is not None:
                universe = switch.fault.universe(universe, switch.covers)
        return universe

    def answer(self, question: Question, right: InfoAnswer, universe: Universe) -> InfoAnswer:
        """The answer as it is sent, to a question about the shown universe."""
        for switch in self._on():
            if switch.fault.answer is not None:
                right = switch.fault.answer(question, right, universe, switch.covers)
        return right

    async def play_outages(self, venue: Breakable) -> None:
        """Begin, continue and end the outages on time. Never returns."""
        begun: set[int] = set()
        while True:
            for switch in self.switches:
                if switch.fault.outage is not None:
                    self._play(switch, venue, begun)
            await asyncio.sleep(1 / TICKS_PER_S)

    def _play(self, switch: FaultSwitch, venue: Breakable, begun: set[int]) -> None:
        outage, is_on = switch.fault.outage, switch.is_on(self._elapsed_s())
        assert outage is not None
        if is_on != (id(switch) in begun):
            begun ^= {id(switch)}
            if outage.turn is not None:
                outage.turn(venue, is_on)
        if is_on and outage.tick is not None:
            outage.tick(venue)

    def _on(self, coin: str | None = None) -> Iterator[FaultSwitch]:
        at_s = self._elapsed_s()
        return (switch for switch in self.switches if switch.is_on(at_s) and (coin is None or switch.covers(coin)))

    def _changed(
        self, coin: str, data: FrameData, effect_of: Callable[[VenueFault], FrameEffect | None]
    ) -> FrameData | None:
        """The data of a frame after every fault that is on; None when one of them holds it back."""
        for switch in self._on(coin):
            effect = effect_of(switch.fault)
            if effect is None:
                continue
            changed = effect(data, Moment(coin, self._elapsed_s(), switch.memory))
            if changed is None:
                return None
            data = changed
        return data
