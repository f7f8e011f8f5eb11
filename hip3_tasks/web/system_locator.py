"""Where the page finds its system: HIP3_REDIS_URL, or the `hip3 up` that runs in the data directory now."""

import redis

from hip3_tasks.errors import Unavailable
from hip3_tasks.run_file import RunFile, located
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.tape import TapeReader

TIMEOUT_S = 1.0


class Source:
    """Systems come and go while a page stays open; each start of `hip3 up` may have another server."""

    def __init__(self, asked: Settings) -> None:
        self.asked = asked
        self.name, self.keys = asked.feed_name, Keys(asked.feed_name)
        self.flower_url = asked.flower_url
        self._url: str | None = None
        self._client: redis.Redis | None = None

    @property
    def client(self) -> redis.Redis:
        """Of the system that was found last. Raises Unavailable when there was none."""
        if self._client is None:
            self.find()
        assert self._client is not None
        return self._client

    def tape(self) -> TapeReader:
        """Raises Unavailable."""
        return TapeReader(self.client, self.keys)

    def find(self) -> None:
        """Look for the system anew. Raises Unavailable when there is none."""
        try:
            chosen = located(self.asked)
        except Unavailable:
            self._url = self._client = None
            raise
        self.name, self.keys = chosen.feed_name, Keys(chosen.feed_name)
        if chosen.redis_url != self._url:
            self._url, self._client = chosen.redis_url, connect(str(chosen.redis_url), timeout_s=TIMEOUT_S)
        run = None if self.asked.flower_url else RunFile.read(self.asked.data_dir)
        self.flower_url = self.asked.flower_url or (run.flower_url if run else None)
