import logging

import redis

from workers.outage_log import OutageFilter

REFUSED = redis.ReadOnlyError("You can't write against a read only replica.")
FULL = redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")


def a_record(*args: object) -> logging.LogRecord:
    return logging.LogRecord("celery.worker", logging.WARNING, __file__, 1, " ".join(["%s"] * len(args)), args, None)


def test_an_outage_is_one_line_for_each_cause_however_often_celery_counts_its_tries() -> None:
    tries = [a_record("cannot connect", error, number) for number in range(3) for error in (REFUSED, FULL)]
    passed = list(map(OutageFilter().filter, tries))
    assert passed == [True, True, False, False, False, False]


def test_other_lines_stay() -> None:
    records = [a_record("received", "task-1"), a_record("failed", ValueError("again"))] * 2
    assert all(map(OutageFilter().filter, records))
