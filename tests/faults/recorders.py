"""Row 29: a recorder that is killed, stopped for longer than the tape waits for it, and refused by its disk."""

import errno
import json
import random
import signal
import time
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

from hip3_tasks.domain.records import Followup
from hip3_tasks.store.store import Store
from hip3_tasks.tape.columns import HOLE_SEQ
from hip3_tasks.tape.load import NOT_RECORDED, load_tape
from hip3_tasks.tape.pieces import PART, TAPE
from tests.faults.disks import mounted
from tests.faults.row import Result, Setting
from tests.faults.system import System
from tests.support.process import HIP3, ProcessUnderTest
from tests.support.waiting import eventually

KILLS = 200
ALIVE_S = 0.0, 0.8
"""A recorder that has begun lives so long; in this time it reads again what the one before had not written."""
STARTING_S = 0.0, 1.0
WRITING_S = 0.0, 0.01
RETENTION_S = 60
"""The shortest retention."""
HELD_TIMEOUT_S = 330.0
TRIMMED_MS = 10_000
"""The length of the tape that is trimmed unread in row 29b."""
COINS, BOOKS_PER_S, MIN_STATES_PER_S = 150, 34.0, 5_000
"""A frame that changes nothing, or comes in the millisecond of another, makes no state of its own."""
FULL_S = 200.0
"""Longer than the three minutes that a recorder keeps in memory."""
DISK = "16m"
MAX_LATE_S = 5.0


def killed(setting: Setting) -> Result:
    """SIGKILL while it reads, before it has begun, and as it writes its last piece; a short run has the first two."""
    result, chance, kinds = Result(), random.Random(29), cycle((_while_reading, _while_starting, _while_ending))
    unfinished = 0
    with System(setting.folder / "killed", recorded=True, offsets_ms="100,300,500", retention_s=900) as system:
        recorder = system.recorder
        assert recorder is not None
        for _ in setting.rounds(KILLS, result, least=2):
            next(kinds)(recorder, system.data_dir / TAPE, chance)
            recorder.kill()
            unfinished += bool(_unfinished(system.data_dir / TAPE))
            recorder.log_path.unlink(missing_ok=True)
            recorder.start()
        recorder.wait_for("recorder_started")
        system.judge(result, when="recorder killed")
    result.note = f"{unfinished} of {result.injected} deaths left a piece that was not finished"
    if setting.effort == 1 and not unfinished:
        result.add_broken("no death came as a piece was written, so this row shows little")
    return result


def stopped(setting: Setting) -> Result:
    """SIGSTOP until the tape is trimmed unread; in a short run the server is half full, and waits for less."""
    result = Result(injected=1)
    rates = {"coins": COINS, "books_per_s": BOOKS_PER_S}
    with System(setting.folder / "stopped", **rates, retention_s=RETENTION_S, recorded=True) as system:
        recorder, store = system.recorder, Store(system.client, system.keys)
        assert recorder is not None
        _write_first_piece(recorder, store)
        began_ms = system.now_ms()
        recorder.send_signal(signal.SIGSTOP)
        written_ms = store.recorded_ms() or began_ms
        for _ in setting.during(HELD_TIMEOUT_S):
            if setting.effort < 1:
                _fill_half(system)
            if _first_ms(store) > written_ms + TRIMMED_MS:
                break
            time.sleep(1)
        _expect_problem(system, "recorder silent", result)
        recorder.send_signal(signal.SIGCONT)
        ended_ms = system.now_ms()
        system.client.config_set("maxmemory", 0)
        _expect_problem(system, "tape not recorded", result)
        system.recovered(result)
        system.judge(result, when="recorder stopped")
        late_ms = _lateness_ms(record for record in system.followups() if began_ms <= record.due_at_ms < ended_ms)
        gap = _gap_note(system, result)
        states = len(load_tape(system.data_dir, since=ended_ms - 10_000, until=ended_ms).collect()) / 10
    stopped_s = (ended_ms - began_ms) / 1000
    result.note = f"stopped {stopped_s:.0f} s at {states:,.0f} states/s; {gap}; p99 {late_ms} ms late meanwhile"
    if setting.effort == 1 and states < MIN_STATES_PER_S:
        result.add_broken(f"{states:,.0f} states/s are fewer than {MIN_STATES_PER_S:,}: the machine was too busy")
    if result.missed:
        result.add_broken(f"{result.missed} captures are missed, though the market was known")
    if (result.lateness_s or 0.0) > MAX_LATE_S:
        result.add_broken(f"a follow-up was {result.lateness_s:.1f} s late, more than {MAX_LATE_S:g} s")
    return result


def full_disk(setting: Setting) -> Result:
    """A file system for the tape alone, without room; the recorder is killed and ended meanwhile, and goes on."""
    result, data_dir = Result(injected=1), setting.folder / "data"
    data_dir.mkdir()
    with mounted(data_dir / TAPE, DISK) as folder:
        if folder is None:
            return Result(note="not tried: no right to mount")
        with System(setting.folder / "system", data_dir=data_dir, recorded=True) as system:
            recorder, ballast = system.recorder, folder / "ballast"
            assert recorder is not None
            _write_first_piece(recorder, Store(system.client, system.keys))
            _fill(ballast)
            setting.wait(setting.seconds(FULL_S, least=3))
            if setting.effort == 1:
                _expect_problem(system, "tape not written", result)
            logs = [_replace(recorder, number) for number in (signal.SIGKILL, signal.SIGTERM)]
            result.injected += len(logs)
            refusals = "".join(logs).count('"tape_not_written"')
            ballast.unlink()
            system.recovered(result)
            system.judge(result, when="tape's disk full")
    result.note = f"{refusals} outages of the disk logged"
    if not refusals:
        result.add_broken("the disk refused nothing, so this row shows nothing")
    return result


def _while_ending(recorder: ProcessUnderTest, folder: Path, chance: random.Random) -> None:
    """Let it end, and wait for the piece that it then writes, which appears under another name before."""
    recorder.wait_for("recorder_started")
    recorder.terminate()
    eventually("it writes", lambda: _unfinished(folder) or not recorder.is_running, interval_s=0.0005)
    time.sleep(chance.uniform(*WRITING_S))


def _while_reading(recorder: ProcessUnderTest, folder: Path, chance: random.Random) -> None:
    recorder.wait_for("recorder_started")
    time.sleep(chance.uniform(*ALIVE_S))


def _while_starting(recorder: ProcessUnderTest, folder: Path, chance: random.Random) -> None:
    time.sleep(chance.uniform(*STARTING_S))


def _unfinished(folder: Path) -> list[Path]:
    return list(folder.glob(f"*/*{PART}"))


def _write_first_piece(recorder: ProcessUnderTest, store: Store) -> None:
    """Replace a recorder, which makes it write a piece; the tape waits for one that has written."""
    recorder.wait_for("recorder_started")
    _replace(recorder, signal.SIGTERM)
    assert store.recorded_ms()


def _replace(recorder: ProcessUnderTest, number: int) -> str:
    """End a recorder by a signal, wait until another reads on in its place, and return the log of the first one."""
    recorder.send_signal(number)
    recorder.wait()
    log = recorder.log
    recorder.log_path.unlink()
    recorder.start()
    recorder.wait_for("recorder_started")
    return log


def _first_ms(store: Store) -> int:
    log = store.tape_log
    return log.first_ms(log.coins()) or 0


def _fill_half(system: System) -> None:
    """Let the server have less than twice the memory that it uses, so that the tape waits for no recorder."""
    used_bytes = int(system.client.info("memory")["used_memory"])
    system.client.config_set("maxmemory", int(used_bytes * 1.7))


def _fill(ballast: Path) -> None:
    """Write a file until the disk has no room."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC


def _expect_problem(system: System, text: str, result: Result) -> None:
    """Wait until `hip3 status` is red for a reason."""

    def problems() -> list[str]:
        status = system.run(*HIP3, "status", "--json")
        return json.loads(status.stdout)["problems"]

    try:
        eventually(f"status says: {text}", lambda: any(text in problem for problem in problems()), within_s=60)
    except AssertionError as error:
        result.unclear += 1
        result.add_broken(str(error))


def _gap_note(system: System, result: Result) -> str:
    """The longest gap of the recording in words; each market must have it, with its cause."""
    rows = load_tape(system.data_dir).collect()
    holes = rows.filter(rows["seq"] == HOLE_SEQ)
    if set(holes["coin"]) != set(system.venue.coins) or set(holes["gap"]) != {NOT_RECORDED}:
        result.wrong += 1
        result.add_broken(f"the recording has these holes: {holes.rows()[:2]}")
        return "no gap"
    return f"a gap of {holes['coin'].n_unique()} markets: {holes['gap'][0]}"


def _lateness_ms(records: Iterable[Followup]) -> int:
    """The p99 lateness of follow-ups."""
    late_ms = sorted(record.captured_at_ms - record.due_at_ms for record in records)
    return late_ms[int(len(late_ms) * 0.99)] if late_ms else 0
