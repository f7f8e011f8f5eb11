"""The faults that a venue has switched on, applied to its frames and answers."""

import asyncio
from collections.abc import Callable, Iterator

from simulator.faults.fault import Breakable, FaultSwitch, FrameData, Moment, SubscribeReply
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
        coin, shown = data["coin"], data | {"time": self.block_time_ms(data["coin"], data["time"])}
        for switch in self._on(coin):
            if switch.fault.bbo is not None:
                changed = switch.fault.bbo(shown, self._moment(coin, switch))
                if changed is None:
                    return None
                shown = changed
        return shown

    def ctx(self, coin: str, ctx: FrameData) -> FrameData | None:
        """The context as it is sent; None when it is not sent."""
        for switch in self._on(coin):
            if switch.fault.ctx is not None:
                changed = switch.fault.ctx(ctx, self._moment(coin, switch))
                if changed is None:
                    return None
                ctx = changed
        return ctx

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

    def _moment(self, coin: str, switch: FaultSwitch) -> Moment:
        return Moment(coin, self._elapsed_s(), switch.memory)
