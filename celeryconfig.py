"""Celery's settings of a worker, beside those of every caller in `hip3_tasks/celery.py`.

Above every line that is not a default: why. Read by its place, never by its name.
"""

from hip3_tasks import settings
from hip3_tasks.run_file import located
from hip3_tasks.store.keys import Keys

# HIP3_REDIS_URL and HIP3_NAME, or those of the `hip3 up` that runs in the data directory.
_settings = located(settings.load())

include = ["workers.tasks"]

broker_transport_options = {
    # Where a message goes that would stop a worker.
    "dead_letter_key": Keys(_settings.feed_name).quarantine,
    # A killed worker's tasks come back soon, but never while one may still be waiting for its countdown.
    "visibility_timeout": max(_settings.offsets_ms) // 1000 + 10,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 5,
    # A receiver whose connection died without a word gives it up when it hears nothing for 1 s and this, and looks so
    # often: after 5 s at most.
    "health_check_interval": 2,
}
broker_connection_retry_on_startup = True
# The server may be away for longer than 100 tries; the captures are safe in the pending set.
broker_connection_max_retries = None
# Captures fall due meanwhile: Celery's own waits 2 s, 4 s, 6 s between its tries.
worker_consumer = "workers.due_batches.consumer:Consumer"

worker_send_task_events = True

# What runs when the connection is lost goes on, and is acknowledged through the next one. Celery 6 would end it.
worker_cancel_long_running_tasks_on_connection_loss = False
# A task is done when its line is on disk, not when it was received; a killed child's task comes back.
task_acks_late = True
task_reject_on_worker_lost = True
# A stopped child holds the day's lock; killing it frees the lock for the others.
task_time_limit = 30

# Grows and shrinks by the jobs that wait, not by their members.
worker_autoscaler = "workers.due_batches.consumer:BatchAutoscaler"
# No limit: with one, acknowledgements that fail while the server hangs leak slots until nothing is consumed.
worker_prefetch_multiplier = 0
# A spawned pool process (macOS) takes 0.4 s of CPU to load, and many may load at once on a busy machine: Celery's 4 s
# killed those that it had just asked for.
worker_proc_alive_timeout = 60.0
worker_disable_rate_limits = True
worker_hijack_root_logger = False
# The project's own events are JSON lines; wrapped in Celery's log they would not be.
worker_redirect_stdouts = False
