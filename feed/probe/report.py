"""The report of a probe: the content of its file, the settings that it proposes, and a summary for a terminal.

The assumptions of this project about a venue are a table over its numbers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from math import inf
from typing import Any

from feed.cadence import FACTOR, MAX_LIMIT_MS
from feed.probe.market import MarketNotes
from feed.probe.probe import Probe
from feed.rate_limits import MAX_SUBSCRIPTIONS
from hip3_tasks.domain.market import dex_of

MAX_WEIGHT = 1_200
"""The weight of requests that the venue allows an IP in a minute."""
MAX_NAMED = 10
MAX_SHOWN = 3
"""Values that contradict an assumption on the terminal; the file has more."""
REGULAR = 3
USEFUL_LAG_MS = 30_000
"""Books that are later than this show no market that can be traded; a larger limit would only hide it."""


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


def report(probe: Probe, *, began_at_ms: int) -> dict[str, Any]:
    """All numbers of a probe, and what they mean for this project."""
    best, dexes = probe.best, defaultdict[str, list[MarketNotes]](list)
    for coin, market in sorted(best.markets.items()):
        dexes[dex_of(coin)].append(market)
    numbers = {
        "version": version("hip3-tasks"),
        "venue": probe.settings.base_url,
        "began_at_ms": began_at_ms,
        "heard_s": probe.heard_s,
        "is_complete": probe.is_complete,
        "universe": probe.lists.summary(),
        "dexes": {dex: MarketNotes.merged(markets).summary() for dex, markets in dexes.items()},
        "sockets": {str(number): notes.summary() for number, notes in enumerate(probe.sockets)},
        "twins": probe.twins.summary(),
        "markets": {coin: market.summary() for coin, market in sorted(best.markets.items())},
    }
    verdicts = [assumption.verdict(numbers) for assumption in ASSUMPTIONS]
    return {**numbers, "assumptions": verdicts, "proposals": proposals(probe)}


def proposals(probe: Probe) -> list[str]:
    """`NAME=VALUE: why` for each setting with which a feed would work better at this venue."""
    chosen, pauses, proposed = probe.settings, probe.best.pause_ms, []
    samples = MarketNotes.merged(probe.best.markets.values()).samples
    regular_ms = pauses.quantile(1 - (REGULAR - 1) / max(pauses.total(), REGULAR)) or 0
    if (pauses.quantile(0.5) or 0) <= chosen.stall_grace_ms < regular_ms:  # a slower socket has its own limit
        why = f"the socket was silent for {regular_ms:,} ms, {REGULAR} times or more"
        proposed.append(f"HIP3_STALL_GRACE_MS={_rounded(1.5 * regular_ms)}: {why}")
    lag_ms = samples["lag_ms"].quantile(0.5) or 0
    if chosen.max_lag_ms < 2 * lag_ms <= 2 * USEFUL_LAG_MS:
        proposed.append(f"HIP3_MAX_LAG_MS={_rounded(3 * lag_ms)}: half of the books arrive later than {lag_ms:,} ms")
    pause_ms = samples["ctx_pause_ms"].quantile(0.9) or 0
    if FACTOR * pause_ms > MAX_LIMIT_MS:
        proposed.append(f"HIP3_CTX_MAX_AGE_MS={_rounded(FACTOR * pause_ms)}: contexts come every {pause_ms:,} ms")
    return proposed


def summary(report: Mapping[str, Any]) -> Iterable[str]:
    """The lines for a terminal."""
    universe, twins, verdicts = report["universe"], report["twins"], report["assumptions"]
    ended = "" if report["is_complete"] else ", ended early"
    yield f"{report['venue']}: {len(report['markets'])} markets on 2 sockets, {report['heard_s']:.0f} s{ended}"
    dexes, live = len(universe["dexes"]), len(universe["live"])
    yield f"universe    {dexes} dexes, {live} live markets, {universe['delisted']} delisted"
    for dex, notes in report["dexes"].items():
        book, ctx, lag = (_typical(notes[name]) for name in ("book_pause_ms", "ctx_pause_ms", "lag_ms"))
        oracle, contradictions = _typical(notes["oracle_pause_ms"]), notes["contradictions_percent"] or 0
        yield f"{dex:<11} book every {book}, context every {ctx}, lag {lag}, oracle every {oracle} (p50/p99, ms)"
        yield f"            {contradictions:.2f}% of contexts contradict the book"
    books, strays = twins["skew_ms"]["count"], " and ".join(map(str, twins["strays"]))
    yield f"two sockets {books:,} books on both, {_typical(twins['skew_ms'])} ms apart; {strays} on one alone"
    words = {True: "holds", None: "not known", False: "DOES NOT"}
    for verdict in sorted(verdicts, key=lambda verdict: verdict.holds is False):
        shown = verdict.outside[:MAX_SHOWN] + ["..."] * (len(verdict.outside) > MAX_SHOWN)
        yield f"{words[verdict.holds]:<11} {verdict.assumption}" + ": " * bool(shown) + "; ".join(shown)
    for proposal in report["proposals"]:
        yield f"propose     {proposal}"


def _rounded(value: float, step: int = 500) -> int:
    """The value rounded up to a multiple of the step."""
    return -int(-value // step) * step


def _typical(samples: Mapping[str, int | None]) -> str:
    return "–" if samples["p50"] is None else f"{samples['p50']:,}/{samples['p99']:,}"
