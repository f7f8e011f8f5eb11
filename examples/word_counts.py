"""A Celery app that has nothing to do with markets: two queues and two priorities, and no message is lost or doubled.

    export CELERY_BROKER_URL=redis://localhost/0 CELERY_RESULT_BACKEND=redis://localhost/0
    celery -A examples.word_counts worker --queues=short,long
    python -m examples.word_counts "to be or not to be" "the quick brown fox"

The last command prints how often each word occurs. Kill the worker meanwhile, with SIGKILL, and start it again: the
answer is the same, at most VISIBILITY_TIMEOUT_S and a second after the worker died.
"""

import sys
from collections import Counter

from celery import Celery, chord

from hip3_tasks.transport import enable

VISIBILITY_TIMEOUT_S = 5
SHORT_LENGTH = 20

app = Celery("examples.word_counts")
enable(app)
app.conf.update(
    # A message is done when its task is, and a killed worker's comes back.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_default_queue="long",
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 5,
        "health_check_interval": 2,
        "socket_timeout": 5,
        # The worker waits for each queue and priority on a connection: four here.
        "priority_steps": [0, 5],
    },
)


@app.task
def count(text: str) -> dict[str, int]:
    return dict(Counter(text.lower().split()))


@app.task
def add(counts: list[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter[str]()))


def main(texts: list[str]) -> None:
    parts = [
        count.s(text).set(queue="short" if len(text) < SHORT_LENGTH else "long", priority=5 * (number % 2))
        for number, text in enumerate(texts)
    ]
    total = chord(parts, add.s().set(queue="short")).apply_async()
    for word, times in sorted(total.get(timeout=60).items()):
        print(times, word)


if __name__ == "__main__":
    main(sys.argv[1:])
