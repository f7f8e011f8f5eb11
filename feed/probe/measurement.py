"""Everything that one probe has measured, and the numbers by dex."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from feed.probe.market_notes import SAMPLES
from feed.probe.samples import Samples
from feed.probe.socket_notes import SocketNotes
from feed.probe.twins import Twins
from feed.probe.venue_lists import VenueLists
from feed.witness import dex_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The lists of the venue, two sockets and their comparison."""

    lists: VenueLists
    sockets: tuple[SocketNotes, SocketNotes]
    twins: Twins
    elapsed_ms: int
    """Time for which sockets were heard."""

    @property
    def best(self) -> SocketNotes:
        """The socket that brought more; markets are described as it shows them."""
        return max(self.sockets, key=lambda notes: notes.frames["bbo"] + notes.frames["activeAssetCtx"])

    @property
    def dexes(self) -> list[str]:
        return sorted(set(map(dex_of, self.best.markets)))

    def samples(self, name: str, dex: str | None = None) -> Samples:
        """The numbers of all markets together, or of those of one dex."""
        chosen = (notes for coin, notes in self.best.markets.items() if dex in (None, dex_of(coin)))
        return Samples.merged(notes.samples[name] for notes in chosen)

    def by_dex(self) -> dict[str, dict[str, Any]]:
        """The numbers of all markets of each dex together."""
        result: dict[str, dict[str, Any]] = {}
        for dex in self.dexes:
            markets = [notes for coin, notes in self.best.markets.items() if dex_of(coin) == dex]
            counts: Counter[str] = Counter()
            for market in markets:
                counts.update(market.counts)
            samples = {name: self.samples(name, dex).summary() for name in SAMPLES}
            rounds = self.best.oracle_round_ms[dex].summary()
            result[dex] = {"markets": len(markets), **counts, **samples, "oracle_round_ms": rounds}
        return result
