"""Celery's own lines about an outage, thinned like the project's: once a minute for each cause."""

import logging

import redis

from hip3_tasks.logs import Repeats


class OutageFilter(logging.Filter):
    """Leaves out a line about an error of the server or the connection that the last minute has already."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args if isinstance(record.args, tuple) else ()
        # By the errors alone: the rest of the line counts Celery's tries.
        causes = [str(arg) for arg in args if isinstance(arg, redis.RedisError | OSError)]
        return not causes or self._repeats.left_out(record.name, *causes) is not None
