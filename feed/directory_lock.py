"""The lock of the feed's data directory."""

import os
import uuid
from pathlib import Path

from hip3_tasks.errors import Unavailable
from hip3_tasks.files.lock import lock_directory


class DirectoryLock:
    """Keeps other feeds from a data directory while this object lives."""

    def __init__(self, data_dir: Path) -> None:
        """Raises Unavailable when the directory cannot be used or another feed has the lock."""
        self._fd = lock_directory(data_dir, role="feed")
        try:
            self.owner = os.read(self._fd, 64).decode()
            if not self.owner:  # written down, so that a feed that restarts here is the same owner
                self.owner = uuid.uuid4().hex
                os.write(self._fd, self.owner.encode())
                os.fsync(self._fd)
        except OSError as error:
            raise Unavailable(f"{data_dir}: {error.strerror}") from None
