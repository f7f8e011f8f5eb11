"""The Celery app, found by `celery -A hip3_tasks`. Importing it opens nothing and reads no setting.

Its settings come from HIP3_* alone: never from a `celeryconfig` on the path, nor from the CELERY_* variables of another
project's shell. Whoever calls a task or looks at one needs those of `caller_settings`; a worker needs `celeryconfig.py`
as well, which stands beside the services and is read by its place.
"""

from typing import Any

import click
from celery import Celery
from celery.app.defaults import SETTING_KEYS
from celery.loaders.base import BaseLoader
from kombu.transport import TRANSPORT_ALIASES

from hip3_tasks import services, settings
from hip3_tasks.errors import Hip3Error
from hip3_tasks.run_file import located
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import SOCKET_TIMEOUT_S, Keys
from hip3_tasks.store.redis_url import for_celery


class BadConfiguration(Hip3Error, click.ClickException):
    """The error that Celery's and Flower's command lines print as one line, with exit status 2."""

    exit_code = 2


def caller_settings(chosen: Settings) -> dict[str, Any]:
    """Celery's settings, as far as a caller needs them. Above every line that is not a default: why."""
    keys = Keys(chosen.feed_name)
    broker_url, broker_use_ssl = for_celery(str(chosen.redis_url))
    return {
        "broker_url": broker_url,
        "broker_use_ssl": broker_use_ssl,
        # Several feeds may share one Redis: each has its own queue, and its own book of what is not yet acknowledged.
        "task_default_queue": keys.queue,
        "broker_transport_options": {
            "unacked_key": keys.unacked,
            "unacked_index_key": f"{keys.unacked}_index",
            "unacked_mutex_key": f"{keys.unacked}_mutex",
            # Without these a publish or an acknowledgement on a half-dead connection hangs for ever.
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
            # One priority, so one list to wait on.
            "priority_steps": [0],
        },
        # JSON only: a message may come from anyone who reaches the server.
        "task_serializer": "json",
        "accept_content": ["json"],
        # The outcome is a line in a file; Flower shows it from the events.
        "task_ignore_result": True,
        "task_send_sent_event": False,
        "timezone": "UTC",
    }


class Loader(BaseLoader):
    """Celery's way to its settings and to our task."""

    def read_configuration(self, env: str = "") -> dict[str, Any]:
        """All settings, those of the workers where workers can run. Raises BadConfiguration."""
        try:
            caller = caller_settings(located(settings.load()))
            names = services.celeryconfig() if services.are_installed() else {}
        except Hip3Error as error:
            raise BadConfiguration(str(error)) from None
        worker = {name: value for name, value in names.items() if name in SETTING_KEYS}
        options = caller["broker_transport_options"] | worker.get("broker_transport_options", {})
        return caller | worker | {"broker_transport_options": options}

    def init_worker(self) -> None:
        """Take our own task and transport, in a worker's main process and in each spawned one."""
        try:
            services.require("a worker")
        except Hip3Error as error:
            raise BadConfiguration(str(error)) from None
        services.load_package("workers")
        # Receives many messages a round-trip, and none is lost with a worker that is killed as it receives. Under the
        # schemes' own names, for with `broker_transport` rediss:// would lose its TLS, and the logs the URL.
        TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "hip3_tasks.transport.channel:Transport"))
        super().init_worker()

    def import_default_modules(self) -> list[Any]:
        """Import the task where a worker runs; Flower asks for it, too, and does without."""
        return list(super().import_default_modules()) if self.worker_initialized else []


class App(Celery):
    """An app whose broker is HIP3_REDIS_URL, also where CELERY_BROKER_URL names that of another project."""

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(url or self.conf["broker_url"], **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(url or self.conf["broker_url"], **options)

    def connection(self, hostname: str | None = None, **options: Any) -> Any:
        return self.connection_for_write(hostname, **options)


# Not the current app of a program that only imports it: that one may have its own.
app = App("hip3_tasks", loader=Loader, backend="disabled://", set_as_current=False)
