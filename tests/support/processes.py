"""Functions that tests run in other processes; fast to import."""

import fcntl
import os
import random
import resource
from collections.abc import Sequence
from pathlib import Path

from hip3_tasks.domain.records import Followup, Missed
from hip3_tasks.errors import JournalError
from hip3_tasks.files import append_file as appendfile
from hip3_tasks.files.journal import Journal
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal, texts

OFFSETS_MS = (1000, 3000, 5000)


def record_of(number: int) -> Followup | Missed:
    """Outcome number `number` of a fixed sequence, each of another capture."""
    signal = a_signal(at_ms=T0_MS + number // len(OFFSETS_MS))
    offset_ms = OFFSETS_MS[number % len(OFFSETS_MS)]
    return a_missed(signal, offset_ms) if number % 7 == 0 else a_followup(signal, offset_ms)


def append_at_random(data_dir: Path, numbers: Sequence[int], seed: int, log: Path) -> None:
    """Append outcomes in random batches, and record in a file which ones the journal accepted."""
    chance = random.Random(seed)
    journal = Journal(data_dir)
    todo = list(numbers)
    chance.shuffle(todo)
    with log.open("ab", buffering=0) as answered:
        while todo:
            batch = [todo.pop() for _ in range(min(len(todo), chance.randint(1, 12)))]
            journal.append([record_of(number) for number in batch])
            answered.write(b"".join(b"%d\n" % number for number in batch))


def append_until_the_file_is_full(data_dir: Path, limit_bytes: int) -> None:
    """Append one by one with a limit on the size of files; exit 0 if the journal kept its promises."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    journal = Journal(data_dir)
    refused = 0
    for number in range(100):
        try:
            journal.append([record_of(number)])
        except JournalError:
            refused += 1
    os._exit(0 if 0 < refused < 100 else 1)


def append_in_a_forked_child_as_well(data_dir: Path) -> None:
    """Append, fork, and append on both sides; exit 0 if the child's lock kept its parent out."""
    journal = Journal(data_dir)
    journal.append([record_of(1)])
    (is_inside, tell_inside), (may_leave, tell_leave) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        appendfile._sync = lambda fd: os.write(tell_inside, b".") and os.read(may_leave, 1)
        journal.append([record_of(2)])
        os._exit(0)
    os.read(is_inside, 1)
    wait = fcntl.flock
    fcntl.flock = lambda fd, operation: wait(fd, operation | fcntl.LOCK_NB)
    try:
        journal.append([record_of(2)])
        was_kept_out = False
    except JournalError as error:
        was_kept_out = isinstance(error.__cause__, BlockingIOError)
    fcntl.flock = wait
    os.write(tell_leave, b".")
    _, status = os.waitpid(child, 0)
    is_known = texts(journal.append([record_of(2)])) == ["already captured"]
    os._exit(0 if was_kept_out and is_known and not status else 1)
