"""Were the signals right? What the files say, at the size of real data."""

from hip3_tasks.analysis.loading.load import Data, load

__all__ = ["Data", "load"]
