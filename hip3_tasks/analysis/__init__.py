"""Were the signals right? What the files say, at the size of real data."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hip3_tasks.analysis.loading import Data, load

__all__ = ["Data", "load"]


def __getattr__(name: str) -> Any:
    # Only when asked for: the live page draws with this package, too, and does without polars.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hip3_tasks.analysis import loading

    return getattr(loading, name)
