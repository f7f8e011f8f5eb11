"""The assumptions of this project about a venue, and whether a measurement confirms them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from feed.probe.market_notes import MarketNotes
from feed.probe.measurement import Measurement
from feed.probe.samples import Samples
from feed.probe.venue_lists import MAX_WEIGHT, WEIGHT
from feed.rate_limits import MAX_SUBSCRIPTIONS
from hip3_tasks.terminal_text import counted

MAX_NAMED = 10
MIN_SAMPLES = 3
"""Fewer numbers of a market have no median that proves anything."""
CTX_PAUSE_MS, MAX_CTX_PAUSE_MS = (700, 1_400), 2_500
"""The median and the longest pause of contexts of a market."""
LAG_MS, MAX_LAG_MS = (0, 1_000), 5_000
ORACLE_ROUND_MS = 2_000, 5_000
FIRST_BOOK_MS = 1_000
ANSWER_MS = 10_000
SILENT_MS = 4_000
SHARE = 0.01
"""An event that happens at fewer frames does not contradict an assumption about all of them."""
STRAY_SHARE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A sentence about the venue. `holds` is None where too little was measured."""

    sentence: str
    holds: bool | None
    observed: str
    named: tuple[str, ...] = ()
    """Markets or dexes for which it does not hold; MAX_NAMED at most."""


def assumptions(measurement: Measurement) -> list[Assumption]:
    """Compare a measurement with every assumption."""
    return [*_of_lists(measurement), *_of_sockets(measurement), *_of_markets(measurement), *_of_both(measurement)]


def _of_lists(measurement: Measurement) -> Iterable[Assumption]:
    lists, summary = measurement.lists, measurement.lists.summary()
    is_read = bool(lists.lists)
    needed, weight = 2 * len(lists.volumes), WEIGHT * (len(lists.dexes) + 1)
    yield _claim("the info endpoint answers", lists.trouble is None, lists.trouble or "it does")
    answers = {True: "it does", False: "it does not", None: "not known"}
    yield _claim("the venue has allPerpMetas", lists.has_all_perp_metas, answers[lists.has_all_perp_metas])
    broken = [f"{dex}: {cause}" for dex, cause in lists.broken.items()]
    yield _claim("each dex shows its markets", not broken if lists.dexes else None, f"{len(broken)} without", broken)
    odd = [f"{coin}: {form}" for coin, form in summary["odd_fees"].items()]
    yield _claim("fee scales have a known form", not odd if is_read else None, f"{len(odd)} with another one", odd)
    text = f"{needed} of {MAX_SUBSCRIPTIONS} subscriptions"
    yield _claim("all markets fit into one IP's limits", needed <= MAX_SUBSCRIPTIONS if is_read else None, text)
    fits = weight <= MAX_WEIGHT if lists.dexes else None
    text = f"{len(lists.dexes)} dexes, a weight of {weight} of {MAX_WEIGHT}"
    yield _claim("all dexes can be read one by one in a minute", fits, text)
    yield _claim("the info limit of this IP is not exhausted", not lists.limited, f"{lists.limited} answers were 429")


def _of_sockets(measurement: Measurement) -> Iterable[Assumption]:
    sockets = measurement.sockets
    lost = [loss["cause"] for notes in sockets for loss in notes.losses]
    failed = sum(notes.failed_connects for notes in sockets)
    text = f"{len(lost)} losses, {failed} failed attempts to connect"
    yield _claim("connections stay open", not lost and not failed, text, dict.fromkeys(lost))
    unanswered = sorted({name for notes in sockets for name in (*notes.never_answered, *notes.refused)})
    closing = sorted({coin for notes in sockets for coin in notes.closed_by})
    slowest_ms = Samples.merged(notes.answer_ms for notes in sockets).quantile(1)
    is_answered = not unanswered and not closing and (slowest_ms or 0) <= ANSWER_MS
    named = [*(f"{coin} ends the connection" for coin in closing), *unanswered]
    text = f"{len(unanswered)} were not or with an error, the slowest after {_ms(slowest_ms)}"
    yield _claim("every subscription is answered", is_answered, text, named)
    late = {coin for notes in sockets for coin, ms in notes.first_book_ms.items() if ms > FIRST_BOOK_MS}
    text = f"{len(late)} books came more than {FIRST_BOOK_MS} ms later"
    yield _claim("a subscription brings the present book at once", not late, text, sorted(late))
    kinds = {kind: example.count for notes in sockets for kind, example in notes.not_understood.items()}
    named = sorted(coin for notes in sockets[:1] for coin, market in notes.markets.items() if market.counts["refused"])
    yield _claim("all frames are understood", not kinds, _counts(kinds) or "all were", named)
    errors = sum(notes.errors.count for notes in sockets)
    yield _claim("error frames are answers to requests", not errors, f"{errors} were not")
    longest_ms = max(notes.pause_ms.quantile(1) or 0 for notes in sockets)
    yield _claim("a socket is never silent for long", longest_ms <= SILENT_MS, f"{_ms(longest_ms)} at most")


def _of_markets(measurement: Measurement) -> Iterable[Assumption]:
    markets = measurement.best.markets
    silent = sorted(coin for coin, market in markets.items() if not market.counts["contexts"])
    yield _claim("each market has contexts", not silent if markets else None, f"{len(silent)} without", silent)
    yield _within("contexts come every second", markets, "ctx_pause_ms", CTX_PAUSE_MS, MAX_CTX_PAUSE_MS)
    yield _within("books arrive some 250 ms after their block", markets, "lag_ms", LAG_MS, MAX_LAG_MS)
    yield _rare("block times of a market never go back", markets, "older_books")
    yield _rare("a book comes only when it changes", markets, "repeated_books", share=SHARE, base="books")
    yield _rare("contexts have a mid", markets, "no_samples", share=SHARE, base="contexts")
    yield _rare("book and context agree", markets, "contradictions", share=SHARE, base="samples")
    yield _rare("book and context never disagree for long", markets, "lasting_contradictions")
    yield _oracle_rounds(measurement)


def _of_both(measurement: Measurement) -> Iterable[Assumption]:
    twins = measurement.twins
    compared, strays = len(twins.skew_ms), sum(twins.strays)
    both = compared + strays
    is_same = strays <= STRAY_SHARE * both and not twins.disordered if both else None
    text = f"{strays} of {both} books came on one alone, {twins.disordered} in another order"
    yield _claim("one socket has all books", is_same, text)


def _oracle_rounds(measurement: Measurement) -> Assumption:
    by_dex, named = measurement.best.oracle_round_ms, []
    for dex in measurement.dexes:
        rounds, median_ms = by_dex[dex], by_dex[dex].quantile(0.5)
        if median_ms is None and measurement.elapsed_ms > MIN_SAMPLES * ORACLE_ROUND_MS[1]:
            named.append(f"{dex}: no two changes")
        elif len(rounds) >= MIN_SAMPLES and median_ms and not ORACLE_ROUND_MS[0] <= median_ms <= ORACLE_ROUND_MS[1]:
            named.append(f"{dex}: every {_ms(median_ms)}")
    rounds = Samples.merged(by_dex.values())
    holds = not named if named or len(rounds) >= MIN_SAMPLES else None
    return _claim("the oracle of a dex changes every 3 to 4 s", holds, f"median {_ms(rounds.quantile(0.5))}", named)


def _within(
    sentence: str, markets: Mapping[str, MarketNotes], name: str, median: tuple[int, int], longest_ms: int
) -> Assumption:
    """The median of each market is between two bounds, and its 99th percentile not above a third."""
    known = {coin: notes.samples[name] for coin, notes in sorted(markets.items()) if len(notes.samples[name])}
    named = []
    for coin, samples in known.items():
        median_ms, p99_ms = samples.quantile(0.5) or 0, samples.quantile(0.99) or 0
        is_typical = len(samples) < MIN_SAMPLES or median[0] <= median_ms <= median[1]
        if not is_typical or p99_ms > longest_ms:
            named.append(f"{coin}: {_typical(samples)}")
    return _claim(sentence, not named if known else None, _typical(Samples.merged(known.values())), named)


def _rare(
    sentence: str, markets: Mapping[str, MarketNotes], name: str, *, share: float = 0, base: str = "books"
) -> Assumption:
    """A count of each market is at most a share of another one; the worst market is named first."""
    over = {coin: m.counts[name] for coin, m in markets.items() if m.counts[name] > share * m.counts[base]}
    named = [f"{coin}: {number}" for coin, number in sorted(over.items(), key=lambda item: (-item[1], item[0]))]
    text = f"{sum(market.counts[name] for market in markets.values())} times not, in {counted(len(named), 'market')}"
    is_heard = any(market.counts[base] for market in markets.values())
    return _claim(sentence, not named if is_heard else None, text, named)


def _claim(sentence: str, holds: bool | None, observed: str, named: Iterable[str] = ()) -> Assumption:
    names = list(named)
    more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return Assumption(sentence=sentence, holds=holds, observed=observed, named=(*names[:MAX_NAMED], *more))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(counts.items()))


def _ms(value: int | None) -> str:
    return "not known" if value is None else f"{value:,} ms"


def _typical(samples: Samples) -> str:
    return f"median {_ms(samples.quantile(0.5))}, p99 {_ms(samples.quantile(0.99))}"
