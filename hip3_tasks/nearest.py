"""What somebody may have meant who wrote a name that is not there."""

from collections.abc import Iterable
from difflib import get_close_matches

CUTOFF = 0.8


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like it, whatever the case of letters; None where none is much like it."""
    by_folded = {other.casefold(): other for other in sorted(names)}
    found = get_close_matches(name.casefold(), by_folded, n=1, cutoff=CUTOFF)
    return by_folded[found[0]] if found else None
