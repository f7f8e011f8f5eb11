"""The text of a switch, `NAME[:COIN|DEX][@START[-END]]`, and the mistakes that a user makes in it."""

import re
from difflib import get_close_matches
from math import inf

from simulator.faults.fault import FaultScope, FaultSwitch, VenueFault
from simulator.faults.table import FAULTS
from simulator.listing import Universe

FORM = "NAME[:COIN|DEX][@START[-END]], times in seconds"
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SPEC = re.compile(rf"([^:@]+)(?::([^@]+))?(?:@({_NUMBER})(?:-({_NUMBER}))?)?", re.ASCII)


class FaultSpecError(ValueError):
    """The text names no fault, or no part of this venue, or has another form; the message is one line."""


def switch_from(text: str, *, universe: Universe) -> FaultSwitch:
    """Parse a switch for a venue that lists this universe. Raises FaultSpecError."""
    match = _SPEC.fullmatch(text)
    if match is None:
        raise FaultSpecError(f"expected {FORM}, was {text!r}")
    name, target, start, end = match.groups()
    if name not in FAULTS:
        raise FaultSpecError(f"no fault is named {name!r}{_close_to(name, list(FAULTS))}; --fault list prints all")
    _check_target(FAULTS[name], target, universe)
    start_s, end_s = float(start or 0), float(end) if end else inf
    if end_s <= start_s:
        raise FaultSpecError(f"expected an end after the start, was {text!r}")
    return FaultSwitch(FAULTS[name], target, start_s, end_s)


def _check_target(fault: VenueFault, target: str | None, universe: Universe) -> None:
    if target is None:
        return
    is_coin = ":" in target
    if fault.scope is FaultScope.VENUE or (fault.scope is FaultScope.DEX and is_coin):
        raise FaultSpecError(f"{fault.name} takes {fault.scope.value}, was {target!r}")
    coins = [str(market["name"]) for markets in universe.values() for market in markets]
    known = coins if is_coin else list(universe)
    if target not in known:
        raise FaultSpecError(f"the venue lists no {target!r}{_close_to(target, known)}")


def _close_to(name: str, names: list[str]) -> str:
    by_folded = {known.casefold(): known for known in sorted(names)}
    close = [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)]
    return f"; close to it: {', '.join(close)}" if close else ""
