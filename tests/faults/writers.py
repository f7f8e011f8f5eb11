"""Row 5: several writers of the same keys, each of which may be killed at any instant.

Run as a module, this is the parent of the writers: it forks them, kills them at random, and starts others in their
place. Each writer records the acknowledged numbers in its own file.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from hip3_tasks.files.journal import Journal
from hip3_tasks.logs import configure_logs
from tests.faults.lines import keys_of, recover
from tests.faults.row import Result, Setting
from tests.support.process import ProcessUnderTest
from tests.support.processes import record_of

WRITERS = 6
RECORDS = 6_000
SECONDS = 20.0
LIFE_MS = 4, 120
"""Shortest and longest life of a writer."""


def killed_writers(setting: Setting) -> Result:
    """SIGKILL at random instants, for twenty seconds."""
    result, data_dir = Result(), setting.folder / "data"
    data_dir.mkdir()
    seconds = SECONDS * setting.effort
    command = (sys.executable, "-m", "tests.faults.writers", data_dir, str(seconds))
    with ProcessUnderTest(*command, log=setting.folder / "writers.log", stdout=setting.folder / "killed") as parent:
        began_s = time.monotonic()
        while parent.is_running:
            time.sleep(0.2)
            setting.advance(min(int(time.monotonic() - began_s), int(seconds)), int(seconds))
        result.injected = json.loads(parent.stdout)
    records = [record_of(number) for number in range(RECORDS)]
    answered = {int(line) for path in setting.folder.glob("data/*.answered") for line in path.read_text().split()}
    acknowledged = keys_of([records[number] for number in answered])
    recover(data_dir, records, result, when="after the last kill", acknowledged=acknowledged)
    result.note = f"{len(answered):,} of {RECORDS:,} acknowledged before the last kill"
    return result


def main(data_dir: Path, seconds: float) -> None:
    """Keep WRITERS writers running, kill one after the other, and print the number of kills."""
    chance, killed = random.Random(5), 0
    until_s = time.monotonic() + seconds
    ends: dict[int, float] = {}
    while time.monotonic() < until_s:
        while len(ends) < WRITERS:
            ends[_writer(data_dir, seed=chance.randrange(2**32))] = time.monotonic() + chance.randint(*LIFE_MS) / 1000
        victim = min(ends, key=lambda pid: ends[pid])
        time.sleep(max(0.0, ends.pop(victim) - time.monotonic()))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        killed += 1
    for pid in ends:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed += 1
    print(killed)


def _writer(data_dir: Path, *, seed: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    chance = random.Random(seed)
    journal = Journal(data_dir)
    answered = os.open(data_dir / f"{seed}.answered", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        numbers = chance.sample(range(RECORDS), chance.randint(1, 12))
        journal.append([record_of(number) for number in numbers])
        os.write(answered, "".join(f"{number}\n" for number in numbers).encode())


if __name__ == "__main__":
    configure_logs("WARNING")  # to stderr: stdout holds the number of kills alone
    main(Path(sys.argv[1]), float(sys.argv[2]))
