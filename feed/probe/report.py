"""The report of a probe: the content of its file, the settings that it proposes, and a summary for a terminal."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from feed.cadence import FACTOR, MAX_LIMIT_MS
from feed.probe.assumptions import ASSUMPTIONS
from feed.probe.market import MarketNotes
from feed.probe.probe import Probe
from hip3_tasks.domain.market import dex_of

MAX_SHOWN = 3
"""Values that contradict an assumption on the terminal; the file has more."""
REGULAR = 3
USEFUL_LAG_MS = 30_000
"""Books that are later than this show no market that can be traded; a larger limit would only hide it."""


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
