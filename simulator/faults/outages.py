"""Faults of whole connections: noise, silence, refusal and drops."""

from simulator.faults.fault import Breakable, FaultScope, Outage, VenueFault
from simulator.wire import error_frame

TICKS_PER_S = 20
ERRORS_PER_S = 200
ERROR = error_frame("Internal error: try again").decode()
GARBAGE = '{"channel":"bbo","data":{"coin":'


def _errors(venue: Breakable) -> None:
    for _ in range(ERRORS_PER_S // TICKS_PER_S):
        venue.send_raw(ERROR)


def _garbage(venue: Breakable) -> None:
    venue.send_raw(GARBAGE)


def _drop(venue: Breakable, _: bool) -> None:
    venue.drop_connections()


OUTAGE_FAULTS = tuple(
    VenueFault(name=name, text=text, scope=FaultScope.VENUE, outage=outage)
    for name, text, outage in (
        ("error-frames", f"{ERRORS_PER_S} error frames a second on every connection", Outage(tick=_errors)),
        ("garbage-frames", f"{TICKS_PER_S} broken frames a second on every connection", Outage(tick=_garbage)),
        (
            "silent-sockets",
            "nothing is sent on any connection, not even pongs",
            Outage(turn=lambda venue, on: venue.stall(on)),
        ),
        (
            "refused-connections",
            "new connections are answered by 503",
            Outage(turn=lambda venue, on: venue.refuse(on)),
        ),
        ("dropped-connections", "all connections are cut when this begins and when it ends", Outage(turn=_drop)),
    )
)
