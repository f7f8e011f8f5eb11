"""Finds names in the settings that the venue does not list: they have no effect, which is easily overlooked."""

from collections.abc import Collection, Iterator, Sequence

import structlog

from feed.universe import Universe, dex_of
from hip3_tasks.settings import Settings
from hip3_tasks.terminal_text import nearest

log = structlog.get_logger()

MAX_NAMED = 10
"""Names of one kind that get a sentence each; further ones are counted."""


class Notices:
    """The sentences for the operator, updated each time the universe was read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.sentences: list[str] = []

    def update(self, universe: Universe) -> None:
        """Compare the settings with the venue's present list; log each new sentence."""
        chosen, before = self._settings, self.sentences
        thresholds = chosen.rules.thresholds_bps
        self.sentences = notices(universe, dexes=chosen.dexes, coins=chosen.coins, thresholds=thresholds)
        for sentence in self.sentences:
            if sentence not in before:
                log.warning("setting_not_listed", notice=sentence)


def notices(
    universe: Universe, *, dexes: Collection[str], coins: Collection[str], thresholds: Collection[str]
) -> list[str]:
    """A sentence for each name in HIP3_DEXES, HIP3_COINS and HIP3_THRESHOLDS that has no effect."""
    listed = universe.listed
    outside = [coin for coin in coins if dexes and dex_of(coin) not in dexes]
    absent = [coin for coin in coins if coin not in listed and coin not in outside]
    idle = [coin for coin in coins if coin in listed and coin not in universe.live]
    checked = [coin for coin in thresholds if dex_of(coin) not in universe.dexes - universe.dexes_read]
    return [
        *_sentences("HIP3_DEXES: the venue has no dex", sorted(set(dexes) - universe.dexes), near=universe.dexes),
        *_sentences("HIP3_COINS: the venue lists no", absent, near=listed),
        *_sentences("HIP3_COINS: the venue lists, but does not trade,", idle),
        *_sentences("HIP3_COINS: HIP3_DEXES has not the dex of", outside),
        *_sentences(
            "HIP3_THRESHOLDS: the venue lists no", [coin for coin in checked if coin not in listed], near=listed
        ),
    ]


def _sentences(fact: str, names: Sequence[str], *, near: Collection[str] = ()) -> Iterator[str]:
    for name in names[:MAX_NAMED]:
        similar = nearest(name, near)
        yield f"{fact} {name}" + (f"; did you mean {similar}?" if similar else "")
    if len(names) > MAX_NAMED:
        yield f"{fact} {len(names) - MAX_NAMED} more"
