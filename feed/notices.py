"""Sentences for the operator: settings without effect, dexes that cannot be read, fees not understood, dark markets."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence

import structlog

from feed.universe import Broken, Universe
from hip3_tasks.domain.market import dex_of
from hip3_tasks.domain.records import Dark
from hip3_tasks.settings import Settings
from hip3_tasks.terminal_text import counted, nearest, utc_time

log = structlog.get_logger()

MAX_NAMED = 10
"""Names of one kind that get a sentence each; further ones are counted."""
MAX_NAMED_DARK, MAX_CAUSES = 5, 2
NOTICE_MS, RED_MS = 60_000, 10_000
"""A market that is dark for longer than this is named, or counts for health."""


class Notices:
    """The sentences for the operator, updated each time that a part of the universe was read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.sentences: list[str] = []
        self.broken: list[str] = []
        """The sentences about dexes that cannot be read."""
        self.problems: list[str] = []
        """The sentences that turn health red: a dex that is wanted was never read, and asked for more than once."""

    def update(self, universe: Universe) -> None:
        """Compare the settings with the venue's present list; log each new sentence."""
        chosen, before = self._settings, {*self.sentences, *self.problems}
        thresholds = chosen.rules.thresholds_bps
        self.problems, unread = broken_dexes(universe, are_red=True), broken_dexes(universe, are_red=False)
        self.broken = self.problems + unread
        self.sentences = [
            *notices(universe, dexes=chosen.dexes, coins=chosen.coins, thresholds=thresholds),
            *unread,
            *assumed_fees(universe, coins=chosen.coins),
        ]
        if universe.trouble and universe.dexes_read:
            self.sentences.append(f"the list of markets is not read at present: {universe.trouble}")
        for sentence in (*self.problems, *self.sentences):
            if sentence not in before:
                log.warning("notice", notice=sentence)
        if universe.unread:  # not logged, since the number changes with every answer
            self.sentences.append(f"{counted(len(universe.unread), 'dex', 'dexes')} still to be read")


def notices(
    universe: Universe, *, dexes: Collection[str], coins: Collection[str], thresholds: Collection[str]
) -> list[str]:
    """A sentence for each name in HIP3_DEXES, HIP3_COINS and HIP3_THRESHOLDS that has no effect."""
    if not universe.dexes:
        return []
    listed, unknown = universe.listed, universe.dexes - universe.dexes_read
    outside = [coin for coin in coins if dexes and dex_of(coin) not in dexes]
    absent = [coin for coin in coins if coin not in listed and coin not in outside and dex_of(coin) not in unknown]
    idle = [coin for coin in coins if coin in listed and coin not in universe.live]
    checked = [coin for coin in thresholds if dex_of(coin) not in unknown]
    return [
        *_sentences("HIP3_DEXES: the venue has no dex", sorted(set(dexes) - universe.dexes), near=universe.dexes),
        *_sentences("HIP3_COINS: the venue lists no", absent, near=listed),
        *_sentences("HIP3_COINS: the venue lists, but does not trade,", idle),
        *_sentences("HIP3_COINS: HIP3_DEXES has not the dex of", outside),
        *_sentences(
            "HIP3_THRESHOLDS: the venue lists no", [coin for coin in checked if coin not in listed], near=listed
        ),
    ]


def broken_dexes(universe: Universe, *, are_red: bool) -> list[str]:
    """A sentence for each dex that cannot be read, with its cause."""
    read, broken = universe.dexes_read, universe.broken
    dexes = [dex for dex in sorted(broken) if are_red == (dex not in read and broken[dex].attempts > 1)]
    sentences = [_broken(dex, broken[dex], is_read=dex in read) for dex in dexes[:MAX_NAMED]]
    return sentences + ([f"{len(dexes) - MAX_NAMED} more dexes cannot be read"] if len(dexes) > MAX_NAMED else [])


def assumed_fees(universe: Universe, *, coins: Collection[str]) -> list[str]:
    """A sentence for each fee that is assumed for markets whose own is not understood."""
    markets = defaultdict[float, list[str]](list)
    for coin in sorted(universe.assumed):
        if not coins or coin in coins:
            markets[universe.live[coin]].append(coin)
    return [_assumed(fee_bps, names) for fee_bps, names in sorted(markets.items())]


def dark_problem(dark: Sequence[Dark], *, wanted: int, at_ms: int) -> str | None:
    """The problem when no market is live, or when most have been dark for a while; None otherwise."""
    if len(dark) == wanted:
        return f"no market is live: {_causes(dark)}"
    lasting = [market for market in dark if at_ms - market.since_ms > RED_MS]
    if 2 * len(lasting) <= wanted:
        return None
    return f"{len(lasting)} of {counted(wanted, 'market')} are dark: {_causes(lasting)}"


def dark_notices(dark: Sequence[Dark], *, at_ms: int) -> list[str]:
    """A sentence that names the markets that have been dark for more than a minute."""
    coins = [market.coin for market in dark if at_ms - market.since_ms > NOTICE_MS]
    if not coins:
        return []
    named = [*coins[:MAX_NAMED_DARK], *([f"{len(coins) - MAX_NAMED_DARK} more"] if len(coins) > MAX_NAMED_DARK else [])]
    return [f"{counted(len(coins), 'market')} dark for more than a minute: {', '.join(named)}"]


def _broken(dex: str, broken: Broken, *, is_read: bool) -> str:
    effect = "followed as last read" if is_read else "not followed"
    return f"dex {dex}: {broken.cause}, since {utc_time(broken.since_ms)}; its markets are {effect}"


def _assumed(fee_bps: float, names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"the taker fee of {', '.join(names[:MAX_NAMED])}{more} is not understood; {fee_bps:g} bps is assumed"


def _sentences(fact: str, names: Sequence[str], *, near: Collection[str] = ()) -> Iterator[str]:
    for name in names[:MAX_NAMED]:
        similar = nearest(name, near)
        yield f"{fact} {name}" + (f"; did you mean {similar}?" if similar else "")
    if len(names) > MAX_NAMED:
        yield f"{fact} {len(names) - MAX_NAMED} more"


def _causes(dark: Sequence[Dark]) -> str:
    """The most frequent causes with their numbers, and the first instant of the markets that have them."""
    causes = Counter(market.cause for market in dark).most_common(MAX_CAUSES)
    since_ms = min(market.since_ms for market in dark if market.cause in dict(causes))
    texts = [f"{cause} ({number})" if number < len(dark) else cause for cause, number in causes]
    return f"{', '.join(texts)}, since {utc_time(since_ms)}"
