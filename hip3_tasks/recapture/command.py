"""`hip3 recapture`: publish captures again, of named signals or all that are open."""

import sys
import time
from collections.abc import Sequence

import redis
from rich.console import Console
from rich.progress import Progress

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import HOUR_MS
from hip3_tasks.errors import BadCapture, DayClosed, Unavailable, UnknownSignal
from hip3_tasks.files.journal import Journal
from hip3_tasks.logs import configure_logs
from hip3_tasks.recapture.recapture import MAX_QUEUED, open_days, recapture, recapture_open
from hip3_tasks.run_file import located
from hip3_tasks.settings import Settings
from hip3_tasks.store.store import Store, unavailable

LONG_SIGNALS = 20_000
QUEUE_POLL_S = 0.02
QUEUE_TIMEOUT_S = 10.0


def recapture_signals_command(chosen: Settings, signal_ids: Sequence[str]) -> int:
    """Queue the captures of each signal; 1 when one is unknown or its day closed, which does not stop the others."""
    chosen = located(chosen)
    store = Store.from_settings(chosen)
    status = 0
    for signal_id in dict.fromkeys(signal_ids):
        try:
            _wait_for_room(store)
            signal = recapture(signal_id, data_dir=chosen.data_dir, store=store)
        except (BadCapture, DayClosed, UnknownSignal) as error:
            print(f"hip3: {error}", file=sys.stderr)
            status = 1
        except redis.RedisError as error:
            raise unavailable(error) from None
        else:
            print(f"{signal_id}: queued for {', '.join(map(str, signal.offsets_ms))} ms")
    return status


def recapture_open_command(chosen: Settings, *, since_hours: float | None) -> int:
    """Add open captures to the pending set, newest day first; the feed's sweeper publishes them."""
    chosen = located(chosen)
    now_ms, store = wall_ms(), Store.from_settings(chosen)
    configure_logs(chosen.log_level)
    since_ms = 0 if since_hours is None else now_ms - int(since_hours * HOUR_MS)
    journal = Journal(chosen.data_dir, window_ms=chosen.retention_s * 1000)
    days = open_days(chosen.data_dir, since_ms=since_ms)
    console, total = Console(stderr=True), sum(days.values())
    is_long = total > LONG_SIGNALS and console.is_terminal
    with Progress(console=console, transient=True, disable=not is_long) as progress:
        task = progress.add_task("signals", total=total)
        try:
            result = recapture_open(
                list(days),
                data_dir=chosen.data_dir,
                journal=journal,
                pending=store.pending,
                at_ms=now_ms,
                since_ms=since_ms,
                tick=lambda read: progress.advance(task, read),
            )
            revoked = store.pending.revoked()
        except redis.RedisError as error:
            raise unavailable(error) from None
        finally:
            journal.close()
    print(f"{result.open} captures are open, {result.added} of them were not pending; {len(days)} days were read")
    if revoked:
        print(f"{revoked} captures are revoked: `hip3 recapture SIGNAL_ID` captures them")
    return 0


def _wait_for_room(store: Store) -> None:
    """Wait until few captures are queued. Raises Unavailable when their number does not go down."""
    shortest, since_s = sys.maxsize, time.monotonic()
    while (queued := store.queue_length()) > MAX_QUEUED:
        if queued < shortest:
            shortest, since_s = queued, time.monotonic()
        if time.monotonic() - since_s > QUEUE_TIMEOUT_S:
            raise Unavailable(
                f"{queued} captures are queued, and no worker took one for {QUEUE_TIMEOUT_S:g} s: does a worker run? "
                "The signals named above are queued, the others are not"
            )
        time.sleep(QUEUE_POLL_S)
