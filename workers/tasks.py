"""The one task of this project."""

from functools import cache

import structlog
from celery.signals import worker_process_init

from hip3_tasks import settings
from hip3_tasks.capture import Capture
from hip3_tasks.celery import app
from hip3_tasks.errors import Hip3Error
from hip3_tasks.journal import Journal
from hip3_tasks.logs import configure_logs
from hip3_tasks.messages import CAPTURE_FOLLOWUP
from hip3_tasks.pending import Pending
from hip3_tasks.runfile import located
from hip3_tasks.store import Keys, connect
from hip3_tasks.tape import TapeReader
from workers.capturer import Capturer

log = structlog.get_logger()


@app.task(name=CAPTURE_FOLLOWUP, throws=(Hip3Error,))
def capture_followup(signal_id: str, offset_ms: int) -> str:
    """Record the market of a signal as it was known at exactly its time + offset_ms. Returns the outcome."""
    try:
        outcome = _capturer().capture(Capture.of(signal_id, offset_ms))
    except Hip3Error as error:
        log.error("followup_failed", signal_id=signal_id, offset_ms=offset_ms, error=str(error))
        raise
    log.debug("followup", signal_id=signal_id, offset_ms=offset_ms, outcome=outcome)
    return outcome


@cache
def _capturer() -> Capturer:
    """This process's own: made after the fork."""
    chosen = located(settings.load())
    configure_logs(chosen.log_level)
    client, keys = connect(str(chosen.redis_url)), Keys(chosen.feed_name)
    return Capturer(
        reader=TapeReader(client, keys),
        pending=Pending(client, keys),
        journal=Journal(chosen.data_dir, window_ms=chosen.retention_s * 1000),
        data_dir=chosen.data_dir,
    )


@worker_process_init.connect
def _make_ready(**_: object) -> None:
    """So that the first capture of a process is no later than the others."""
    _capturer()
