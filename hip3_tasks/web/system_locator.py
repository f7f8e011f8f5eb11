"""Finds the system that the page shows: HIP3_REDIS_URL, or the `hip3 up` that runs in the data directory."""

from hip3_tasks.errors import Unavailable
from hip3_tasks.run_file import RunFile, located
from hip3_tasks.settings import Settings
from hip3_tasks.store.store import Store

TIMEOUT_S = 1.0


class SystemLocator:
    """Systems come and go while a page stays open; each start of `hip3 up` may have another server."""

    def __init__(self, asked: Settings) -> None:
        self.asked, self.name, self.flower_url = asked, asked.feed_name, asked.flower_url
        self._located: Settings | None = None
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The Redis of the system found last. Raises Unavailable when there is none."""
        return self._store or self.find()

    def find(self) -> Store:
        """Look for the system again. Raises Unavailable when there is none."""
        try:
            settings = located(self.asked)
        except Unavailable:
            self._store = None
            raise
        if self._store is None or settings != self._located:
            self._store = Store.from_settings(settings, timeout_s=TIMEOUT_S)
        self.name, self._located = settings.feed_name, settings
        run = None if self.asked.flower_url else RunFile.read(self.asked.data_dir)
        self.flower_url = self.asked.flower_url or (run.flower_url if run else None)
        return self._store
