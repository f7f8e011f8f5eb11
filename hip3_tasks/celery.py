"""The Celery app, found by `celery -A hip3_tasks`. Importing it opens nothing and reads no setting.

Its settings come from HIP3_* alone: never from a `celeryconfig` on the module path, nor from CELERY_* variables of
another project. A caller or Flower needs those of `caller_settings`. A worker also needs `celeryconfig.py`, which is
beside the services and read by its path.
"""

from typing import Any, ClassVar

import click
from celery import Celery, states
from celery.app import utils
from celery.app.defaults import SETTING_KEYS
from celery.backends.base import DisabledBackend
from celery.loaders.base import BaseLoader

from hip3_tasks import services, settings
from hip3_tasks.errors import Hip3Error
from hip3_tasks.run_file import located
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import SOCKET_TIMEOUT_S, Keys
from hip3_tasks.store.redis_url import for_celery
from hip3_tasks.store.store import Store
from hip3_tasks.transport import enable


class BadConfiguration(Hip3Error, click.ClickException):
    """An error that Celery's and Flower's command lines print as one line, with exit status 2."""

    exit_code = 2


def caller_settings(chosen: Settings) -> dict[str, Any]:
    """Celery's settings for a caller. Above each that is not a default: why."""
    keys = Keys(chosen.feed_name)
    control = f"hip3:{chosen.control_name or chosen.feed_name}"
    broker_url, broker_use_ssl = for_celery(str(chosen.redis_url))
    return {
        "broker_url": broker_url,
        "broker_use_ssl": broker_use_ssl,
        # Several feeds may share one Redis: each has its own queue and its own set of unacknowledged messages.
        "task_default_queue": keys.queue,
        "broker_transport_options": {
            "unacked_key": keys.unacked,
            "unacked_index_key": f"{keys.unacked}_index",
            "unacked_mutex_key": f"{keys.unacked}_mutex",
            # Without these, a publish or an acknowledgement on a half-dead connection never returns.
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
            # One priority, so one list to wait on.
            "priority_steps": [0],
        },
        # Otherwise `control shutdown` of one system ends the workers of all that share the Redis.
        "control_exchange": control,
        "event_exchange": f"{control}:events",
        "event_queue_prefix": f"{control}:events",
        # JSON only: any client of the server may send a message.
        "task_serializer": "json",
        "accept_content": ["json"],
        # The outcome is a line in a file, and Flower takes it from the events.
        "task_ignore_result": True,
        "task_send_sent_event": False,
        "timezone": "UTC",
    }


class NoResults(DisabledBackend):
    """Celery's backend without results, which also lets a task be revoked without a warning."""

    def get_state(self, task_id: str) -> str:
        """The state that `revoke` asks for; without it, each id is a line in the log of each worker."""
        return str(states.PENDING)


class Loader(BaseLoader):
    """Loads the settings and the task of this project."""

    override_backends: ClassVar[dict[str, str]] = {"disabled": "hip3_tasks.celery:NoResults"}

    def read_configuration(self, env: str = "") -> dict[str, Any]:
        """All settings; those of workers only where workers can run. Raises BadConfiguration."""
        try:
            caller = caller_settings(located(settings.load()))
            names = services.celeryconfig() if services.are_installed() else {}
        except Hip3Error as error:
            raise BadConfiguration(str(error)) from None
        worker = {name: value for name, value in names.items() if name in SETTING_KEYS}
        options = caller["broker_transport_options"] | worker.get("broker_transport_options", {})
        return caller | worker | {"broker_transport_options": options}

    def init_worker(self) -> None:
        """Load the task, in a worker's main process and in each spawned one. Raises BadConfiguration."""
        try:
            services.require("a worker")
            Store.from_settings(located(settings.load())).refuse_cluster()
        except Hip3Error as error:
            raise BadConfiguration(str(error)) from None
        services.load_package("workers")
        super().init_worker()

    def import_default_modules(self) -> list[Any]:
        """Import the task in a worker; Flower calls this as well, and does not need the task."""
        return list(super().import_default_modules()) if self.worker_initialized else []


class ShownSettings(utils.Settings):
    """Celery's settings. Reports show the options of the transport: names of keys, and no secret."""

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        shown: dict[str, Any] = super().table(with_defaults=with_defaults, censored=censored)
        return shown | {"broker_transport_options": self["broker_transport_options"]}


class App(Celery):
    """An app whose broker is HIP3_REDIS_URL, even if CELERY_BROKER_URL names the broker of another project."""

    def _load_config(self) -> Any:
        # Celery has no way to name the class; it hides whatever has "key" in its name.
        conf = super()._load_config()
        object.__setattr__(conf, "__class__", ShownSettings)
        return conf

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(url or self.conf["broker_url"], **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(url or self.conf["broker_url"], **options)

    def connection(self, hostname: str | None = None, **options: Any) -> Any:
        return self.connection_for_write(hostname, **options)


# Not the current app, because a program that imports this may have its own.
app = App("hip3_tasks", loader=Loader, backend="disabled://", set_as_current=False)
# It receives many messages per round-trip, and loses none when a worker is killed.
enable(app)
