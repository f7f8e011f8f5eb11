"""The assumptions of this project about a venue, as a table over the report of a probe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from feed.rate_limits import MAX_SUBSCRIPTIONS

MAX_WEIGHT = 1_200
"""The weight of requests that the venue allows an IP in a minute."""
MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """An assumption compared with a report. `holds` is None where too little was measured."""

    assumption: str
    holds: bool | None
    outside: list[str]
    """The contradictions by name, the worst number first; MAX_NAMED at most."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """A sentence that holds while all numbers at a path of the report are within bounds, and no text stands there."""

    sentence: str
    path: str
    """Keys with dots between them, where * is every key."""
    high: float = 0
    low: float = 0

    def verdict(self, report: Mapping[str, Any]) -> Verdict:
        values = dict(_values(report, self.path.split(".")))
        known = {name: value for name, value in values.items() if value is not None}
        texts = [f"{name}: {value}" for name, value in known.items() if isinstance(value, str)]
        numbers = {name: value for name, value in known.items() if not isinstance(value, str)}
        outside = [name for name, number in numbers.items() if not self.low <= number <= self.high]
        outside.sort(key=lambda name: abs(numbers[name]), reverse=True)
        named = texts + [f"{name} {numbers[name]:,.6g}".strip() for name in outside]
        more = [f"{len(named) - MAX_NAMED} more"] if len(named) > MAX_NAMED else []
        return Verdict(self.sentence, not named if known else None, named[:MAX_NAMED] + more)


def _values(node: Any, path: list[str], name: str = "") -> Iterator[tuple[str, Any]]:
    """The values at a path; their names are the keys for which * stands. A list of faults that is empty is a 0."""
    if not path or node is None:
        yield name, node
        return
    head, *rest = path
    if head != "*":
        yield from _values(node[head], rest, name)
        return
    if not rest and not node:
        yield name, 0
    for key, inner in node.items():
        yield from _values(inner, rest, f"{name} {key}".strip())


ASSUMPTIONS = (
    Assumption("the info endpoint shows all lists of markets", "universe.broken.*"),
    Assumption("fees have a known form", "universe.odd_fees.*"),
    Assumption("all markets fit into one IP's subscriptions", "universe.subscriptions_needed", MAX_SUBSCRIPTIONS),
    Assumption("all dexes can be read one by one in a minute", "universe.weight_one_by_one", MAX_WEIGHT),
    Assumption("connections stay open", "sockets.*.losses.*"),
    Assumption("every subscription is answered", "sockets.*.unanswered.*"),
    Assumption("all frames are understood", "sockets.*.not_understood.*"),
    Assumption("a socket is never silent for long (ms)", "sockets.*.pause_ms.max", 4_000),
    Assumption("the first book comes with the first context (ms later)", "markets.*.first_book_ms.max", 1_000),
    Assumption("each market has contexts", "markets.*.contexts", inf, 1),
    Assumption("contexts come every second (median, ms)", "markets.*.ctx_pause_ms.p50", 1_400, 700),
    Assumption("contexts come at a steady pace (p99, ms)", "markets.*.ctx_pause_ms.p99", 2_500),
    Assumption("books arrive some 250 ms after their block (median, ms)", "markets.*.lag_ms.p50", 1_000),
    Assumption("no book arrives late (p99, ms)", "markets.*.lag_ms.p99", 5_000, -inf),
    Assumption("block times of a market never go back", "markets.*.older_books"),
    Assumption("contexts have a mid (% not)", "markets.*.no_mids_percent", 1),
    Assumption("book and context agree (% not)", "markets.*.contradictions_percent", 1),
    Assumption("book and context never disagree for long", "markets.*.lasting_contradictions"),
    Assumption("oracle prices change every few seconds (median, ms)", "dexes.*.oracle_pause_ms.p50", 10_000, 2_000),
    Assumption("one socket has all books (% not)", "twins.strays_percent", 0.1),
    Assumption("both sockets have one order of books", "twins.disordered"),
)
