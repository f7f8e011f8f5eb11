"""All faults by name, in the order in which `--fault list` prints them."""

from simulator.faults.books import BOOK_FAULTS
from simulator.faults.contexts import CONTEXT_FAULTS
from simulator.faults.fault import FaultScope, VenueFault
from simulator.faults.outages import OUTAGE_FAULTS
from simulator.faults.subscriptions import SUBSCRIPTION_FAULTS
from simulator.faults.universe import DEX_FAULTS, FEE_FAULTS, INFO_FAULTS

GROUPS = (
    BOOK_FAULTS,
    CONTEXT_FAULTS,
    SUBSCRIPTION_FAULTS,
    FEE_FAULTS,
    DEX_FAULTS,
    INFO_FAULTS,
    OUTAGE_FAULTS,
)
FAULTS: dict[str, VenueFault] = {fault.name: fault for group in GROUPS for fault in group}

_TARGETS = {FaultScope.COIN: "[:COIN|DEX]", FaultScope.DEX: "[:DEX]", FaultScope.VENUE: ""}


def lines() -> list[str]:
    """One line a fault: its name, what it may be limited to, and what the venue does."""
    forms = {name: name + _TARGETS[fault.scope] for name, fault in FAULTS.items()}
    width = max(map(len, forms.values()))
    return [f"{forms[name]:{width}}  {fault.text}" for name, fault in FAULTS.items()]
