"""All rows, in the order of the report. The last number is the share of a row in a short run."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import redis

from tests.faults import (
    appends,
    brokers,
    clocks,
    compactions,
    dark,
    deaths,
    disks,
    feed_deaths,
    feeds,
    listings,
    long,
    outages,
    power,
    recorders,
    refusals,
    silences,
    upgrades,
    values,
    venues,
    witnesses,
    writers,
)
from tests.faults.row import Result, Row, Setting

ROWS = (
    Row("1", "crash at every system call of an append", "SIGKILL on entry, six start states", appends.crashes, 0.1),
    Row("2", "error from every system call of an append", "EIO, ENOSPC, EINTR; twice", appends.errors, 0.02),
    Row("3", "torn tail", "cut at every byte; then nothing, zeros, random bytes, no UTF-8", appends.torn_tails, 0.05),
    Row("4", "power cut", "a model disk that forgets what was not synced", power.power_cuts, 0.3),
    Row("5", "writers killed at random", "six on the same keys, SIGKILL", writers.killed_writers, 0.15),
    Row("6", "holder of the lock stopped", "SIGSTOP, past the time limit", deaths.lock_holder_stopped, 0),
    Row("7a", "disk full", "a file system of 64 KiB, then room again", disks.full_disk, 0),
    Row("7b", "files may not grow", "RLIMIT_FSIZE", disks.files_that_may_not_grow, 0.5),
    Row("8a", "data directory read-only", "when feed and worker start", disks.directory_read_only, 0),
    Row("8b", "data directory gone", "renamed, 4 s", disks.directory_gone, 0),
    Row("8c", "file replaced while open", "under its lock, 20 times", disks.file_replaced, 0),
    Row("8d", "file deleted while open", "and the feed restarted", disks.file_deleted, 0),
    Row("9", "receiver frozen, then killed", "SIGSTOP, a message, SIGKILL", brokers.frozen_receiver, 0.1),
    Row("10a", "worker killed", "SIGKILL, while it holds 300 captures", deaths.worker_killed_with_a_burst, 1),
    Row("10b", "pool processes killed", "SIGKILL, 20 times", deaths.children_killed, 0.2),
    Row("10c", "worker ended under load", "SIGTERM, SIGQUIT", deaths.worker_ended_under_load, 0.3),
    Row("11", "pool stopped", "SIGSTOP, past the visibility timeout", deaths.child_stopped, 0),
    Row("12a", "server killed", "SIGKILL, restart with its append-only file", outages.server_killed, 0.3),
    Row("12b", "server ended", "SIGTERM, restart", outages.server_ended, 0),
    Row("12c", "server emptied", "SIGKILL, restart without data", outages.server_emptied, 0.3),
    Row("13", "server hangs", "SIGSTOP, 31 s", outages.server_hangs, 0),
    Row("14a", "connections cut", "CLIENT KILL, 20 times", outages.connections_cut, 0),
    Row("14b", "connections half open", "a proxy falls silent, five times", outages.connections_half_open, 0),
    Row("15", "server full", "maxmemory, noeviction, 10 s", outages.server_full, 0),
    Row("16a", "feed killed", "SIGKILL, nine times", feeds.feed_killed, 0),
    Row("16b", "feed stopped", "SIGSTOP, 5 s", feeds.feed_stopped, 0),
    Row("16c", "two feeds", "the same directory; the same name", feeds.second_feed, 0),
    Row(
        "16d",
        "feed killed in a burst",
        "SIGKILL, as a state reaches the tape, or soon after",
        feed_deaths.in_bursts,
        0.1,
    ),
    Row(
        "16e",
        "feed killed at system calls",
        "on its files, and sendto and recvfrom, up to 16 of each: from frame to synced signal, and of a start",
        feed_deaths.at_calls,
        0,
    ),
    Row("16f", "feed's rules changed", "SIGTERM, or SIGKILL in a burst, twelve times", feeds.rules_changed, 0),
    Row("17a", "venue closes sockets", "five times", venues.connections_dropped, 0),
    Row("17b", "venue expires sockets", "and acknowledges a second late", venues.connections_expired, 0),
    Row("17c", "venue silent", "open sockets, no frame, no pong, 6 s", venues.silence, 0),
    Row("17d", "venue sends invalid frames", "hostile and random frames, ten minutes", venues.garbage, 0.01),
    Row("18a", "fuzzed frames", "a fuzzer guided by coverage, a million inputs", values.fuzzed_frames, 0.02),
    Row("18b", "hostile values", "in every number; unusual ones for one market, a minute", values.hostile_values, 0),
    Row("19", "bad messages", "malformed, foreign, repeated, re-run by hand", brokers.bad_messages, 0),
    Row("20a", "worker's clock jumps", "an hour, two seconds, forward and back", clocks.workers_clock, 0),
    Row("20b", "feed's clock jumps", "the same", clocks.feeds_clock, 0),
    Row("21", "midnight UTC", "between signals and captures", clocks.midnight, 0),
    Row("22a", "rolling restart", "the next worker up, then SIGTERM, ten times", deaths.rolling_restart, 0.2),
    Row("22b", "pool grows and shrinks", "one process, eight, one, three times", deaths.autoscaled, 0),
    Row("23", "everything at once", "a seeded schedule, five minutes", long.everything, 0),
    Row("24", "soak", "ten minutes at 25 signals/s", long.soak, 0),
    Row("25a", "no worker", "ten minutes at 25 signals/s, then one", long.no_worker, 0),
    Row("25b", "no worker for longer", "three minutes, retention of one", long.no_worker_for_longer, 0),
    Row("26", "server set back", "an append-only file of 1.5 s ago", long.server_set_back, 0),
    Row("27", "compaction killed", "SIGKILL at random, while its day is written", compactions.compaction_killed, 0.1),
    Row("28", "upgrade", "from 0.1.0 in bursts, feed or worker first, back, and up again", upgrades.upgraded, 0),
    Row(
        "29a",
        "recorder killed",
        "SIGKILL as it starts, reads, writes and ends, 200 times",
        recorders.killed,
        0.01,
    ),
    Row(
        "29b",
        "recorder stopped",
        "SIGSTOP at 5,000 states/s, for longer than the tape waits for it: 4 x its retention",
        recorders.stopped,
        0,
    ),
    Row("29c", "tape's disk full", "more than three minutes, and killed meanwhile", recorders.full_disk, 0),
    *(
        Row(f"30{letter}", f"server refuses: {family}", how, partial(refusals.refused, family=family), effort)
        for letter, family, how, effort in (
            ("a", "MISCONF", "a snapshot that its disk does not take, 12 s", 0.1),
            ("b", "READONLY", "REPLICAOF a server that is gone, 12 s", 0),
            ("c", "MASTERDOWN", "the same, and it does not answer reads", 0),
            ("d", "NOREPLICAS", "min-replicas-to-write, 12 s", 0),
            ("e", "OOM", "maxmemory, noeviction, 12 s", 0),
            ("f", "NOPERM", "the user may run no command, 12 s", 0),
            ("g", "LOADING", "DEBUG RELOAD, slowed down to 12 s", 0),
            ("h", "BUSY", "a script that does not end, 12 s, then SCRIPT KILL", 0),
        )
    ),
    Row("V1", "books refused", "no numbers, 10 s; then 1.000200e+02", witnesses.refused_books, 0),
    Row("V2a", "books stand still", "four markets jump or drift, three times", witnesses.frozen_books, 0),
    Row("V2b", "contexts stand still", "the market jumps", witnesses.frozen_contexts, 0),
    Row("V2c", "quiet books", "control: unchanged for a minute, and confirmed", witnesses.quiet_books, 0),
    Row("V3a", "old blocks", "block times of 420 s ago: of all markets, of one", witnesses.old_blocks, 0),
    Row("V3b", "odd blocks", "control: a minute ahead; every fifth an earlier one", witnesses.odd_blocks, 0),
    Row("V4", "ages of contexts", "control: compared with the venue's", silences.recorded_ages, 0),
    Row("V5", "subscriptions not answered", "for 20 s; another one refused", dark.unanswered, 0),
    Row("V6a", "contexts slow down", "every 5.4 s, then every 13.6 s", silences.slow_contexts, 0),
    Row("V6b", "a dex without contexts", "50 s; its connection shared, or its own", silences.silent_dex, 0),
    Row("V7", "many dexes", "200 more, and 429 for 12 s", listings.many_dexes, 0),
    Row("V8", "a dex cannot be read", "500, a page, null, when the feed starts", listings.broken_dexes, 0),
    Row("V9", "an empty list", "one reading", listings.empty_list, 0),
    Row("V10", "a new listing", "the websocket learns it 20 s later", dark.new_listing, 0),
    Row("V11", "no first book", "and it does not change", dark.no_first_book, 0),
    Row("V13", "contexts refused", "numbers instead of text: of one market, of all", silences.refused_contexts, 0),
    Row("V14", "odd fees", "no number, no text, missing, renamed", listings.odd_fees, 0),
    Row("V15", "error frames", "200 a second", dark.error_frames, 0),
    Row("V16", "no mark", "a mark price of 0.0", silences.zero_marks, 0),
)


def run(row: Row, effort: float, advance: Callable[[int, int], object] = lambda done, total: None) -> Result:
    """Run a row in its own folder, which is kept when a promise was broken."""
    folder = Path(tempfile.mkdtemp(prefix=f"hip3-fault-{row.number}-"))
    began_s = time.monotonic()
    try:
        result = row.run(Setting(folder, effort, advance))
    except (AssertionError, OSError, psutil.Error, redis.RedisError, subprocess.SubprocessError) as error:
        result = Result()
        result.add_broken(f"{type(error).__name__}: {error}")
    result.took_s, result.effort, result.on = time.monotonic() - began_s, effort, f"{datetime.now(UTC):%Y-%m-%d}"
    if result.is_clean:
        shutil.rmtree(folder)
    else:
        result.add_broken(f"its files are in {folder}")
    return result
