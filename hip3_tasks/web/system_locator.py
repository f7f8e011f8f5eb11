"""Finds the system that the page shows: HIP3_REDIS_URL, or the `hip3 up` that runs in the data directory."""

from hip3_tasks.errors import Unavailable
from hip3_tasks.run_file import RunFile, located
from hip3_tasks.settings import Settings
from hip3_tasks.store.store import Store

TIMEOUT_S = 1.0


class SystemLocator:
    """Locates the system again and again, since each start of `hip3 up` may have another server."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.name, self.flower_url = settings, settings.feed_name, settings.flower_url
        self._located: Settings | None = None
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The Redis of the system found last. Raises Unavailable when there is none."""
        return self._store or self.find()

    def find(self) -> Store:
        """Look for the system again. Raises Unavailable when there is none."""
        try:
            located_settings = located(self.settings)
        except Unavailable:
            self._store = None
            raise
        if self._store is None or located_settings != self._located:
            self._store = Store.from_settings(located_settings, timeout_s=TIMEOUT_S)
        self.name, self._located = located_settings.feed_name, located_settings
        run = None if self.settings.flower_url else RunFile.read(self.settings.data_dir)
        self.flower_url = self.settings.flower_url or (run.flower_url if run else None)
        return self._store
