"""The process that rows 1 and 2 run under strace: the real journal appends three outcomes to a data directory.

Prints `done` when the journal has accepted them; exits with 3 when it refuses them, as it should when the disk fails.
"""

import sys
from pathlib import Path

from hip3_tasks.errors import JournalError
from hip3_tasks.files.journal import Journal
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal

SIGNAL = a_signal(at_ms=T0_MS + 500)
BATCH = (a_followup(SIGNAL, 1000), a_missed(SIGNAL, 3000), a_followup(SIGNAL, 5000))
BEFORE = tuple(a_followup(a_signal(at_ms=T0_MS + number), 1000) for number in range(3))
"""Records in the files before the append, in all start states except the first."""
AFTER = a_followup(a_signal(at_ms=T0_MS + 900), 1000)
"""The record that another process appends afterwards."""

REFUSED = 3

if __name__ == "__main__":
    try:
        Journal(Path(sys.argv[1])).append(BATCH)
    except JournalError as error:
        print(error)
        sys.exit(REFUSED)
    print("done", flush=True)
