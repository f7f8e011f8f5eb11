"""The feed's claim on its data directory."""

import os
import uuid
from pathlib import Path

from hip3_tasks.errors import Unavailable
from hip3_tasks.files.lock import lock


class DirectoryClaim:
    """One feed per data directory, for as long as this object lives."""

    def __init__(self, data_dir: Path) -> None:
        """Raises Unavailable when the directory cannot be used or another feed has it."""
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(data_dir / ".feed", os.O_RDWR | os.O_CREAT, 0o644)
            lock(self._fd, timeout_s=0)
            self.owner = os.read(self._fd, 64).decode() or self._named()
        except BlockingIOError:
            raise Unavailable(f"{data_dir}: another feed runs on this data directory; stop it first") from None
        except OSError as error:
            raise Unavailable(f"{data_dir}: {error.strerror}") from None

    def _named(self) -> str:
        """An id that stays with the directory: a feed that restarts on it is the same owner."""
        owner = uuid.uuid4().hex
        os.write(self._fd, owner.encode())
        os.fsync(self._fd)
        return owner
