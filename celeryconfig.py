"""Celery's settings. Above every line that is not a default: why."""

import sys

from kombu.transport import TRANSPORT_ALIASES

from hip3_tasks import redisurl, settings
from hip3_tasks.errors import Hip3Error
from hip3_tasks.runfile import located
from hip3_tasks.store import SOCKET_TIMEOUT_S, Keys

try:
    # HIP3_REDIS_URL and HIP3_NAME, or those of the `hip3 up` that runs in the data directory.
    _settings = located(settings.load())
except Hip3Error as error:
    sys.exit(f"hip3: {error}")

_keys = Keys(_settings.feed_name)

broker_url, broker_use_ssl = redisurl.for_celery(str(_settings.redis_url))
# Receives many messages a round-trip, and none is lost with a worker that is killed as it receives. Under the schemes'
# own names, for with `broker_transport` rediss:// would lose its TLS, and Flower and the logs the URL.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "workers.transport:Transport"))

include = ["workers.tasks"]

# Several feeds may share one Redis: each has its own queue, and its own book of what is not yet acknowledged.
task_default_queue = _keys.queue
broker_transport_options = {
    "unacked_key": _keys.unacked,
    "unacked_index_key": f"{_keys.unacked}_index",
    "unacked_mutex_key": f"{_keys.unacked}_mutex",
    # Where a message goes that would stop a worker.
    "quarantine_key": _keys.quarantine,
    # A killed worker's tasks come back soon, but never while one may still be waiting for its countdown.
    "visibility_timeout": max(_settings.offsets_ms) // 1000 + 10,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 5,
    # Without these a publish or an acknowledgement on a half-dead connection hangs for ever.
    "socket_timeout": SOCKET_TIMEOUT_S,
    "socket_connect_timeout": SOCKET_TIMEOUT_S,
    # A receiver whose connection died without a word gives it up when it hears nothing for 1 s and this, and looks so
    # often: after 5 s at most.
    "health_check_interval": 2,
    # One priority, so one list to wait on.
    "priority_steps": [0],
}
broker_connection_retry_on_startup = True
# The server may be away for longer than 100 tries; the captures are safe in the pending set.
broker_connection_max_retries = None
# Captures fall due meanwhile: Celery's own waits 2 s, 4 s, 6 s between its tries.
worker_consumer = "workers.consumer:Consumer"

# JSON only: a message may come from anyone who reaches the server.
task_serializer = "json"
accept_content = ["json"]

# The outcome is a line in a file; Flower shows it from the events.
task_ignore_result = True
worker_send_task_events = True
task_send_sent_event = False

# A task is done when its line is on disk, not when it was received; a killed child's task comes back.
task_acks_late = True
task_reject_on_worker_lost = True
# A stopped child holds the day's lock; killing it frees the lock for the others.
task_time_limit = 30

# Grows and shrinks by the jobs that wait, not by their members.
worker_autoscaler = "workers.autoscale:BatchAutoscaler"
# No limit: with one, acknowledgements that fail while the server hangs leak slots until nothing is consumed.
worker_prefetch_multiplier = 0
worker_disable_rate_limits = True
worker_hijack_root_logger = False
# The project's own events are JSON lines; wrapped in Celery's log they would not be.
worker_redirect_stdouts = False
timezone = "UTC"
