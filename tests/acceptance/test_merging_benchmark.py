"""The benchmark of a merge takes a day apart and puts it together again by the recorder's code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hip3_tasks.domain.capture import DAY_MS, MINUTE_MS
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.recording.merge import merge_pieces
from tests.support.factories import T0_MS, a_market
from tests.support.kept_tapes import keep
from tests.support.process import ROOT
from tests.support.tapes import COIN, news

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

START_MS = T0_MS // DAY_MS * DAY_MS
TOO_LONG_S = 150


def test_a_small_day_has_every_figure(tmp_path: Path) -> None:
    times = range(START_MS, START_MS + DAY_MS, 10 * MINUTE_MS)
    tape = [Entry(START_MS, Gap(NO_DATA)), *(news(a_market(at_ms=at_ms), at_ms=at_ms) for at_ms in times)]
    keep(tmp_path, {COIN: tape}, rules=Rules(), until_ms=START_MS + DAY_MS - 1)
    merge_pieces(tmp_path, until_ms=START_MS + DAY_MS)
    command = [sys.executable, "-m", "benchmarks.merging", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TOO_LONG_S)
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout)
    assert figures["states"] == len(tape)
    sizes = figures["bytes_a_state"]
    assert sizes["minutes"] > sizes["23 hours"] > sizes["last hour and day"] > 0
    assert figures["last hour and day"]["cpu_s"] > 0
    assert figures["bytes_by_column"]["at_ms"] > 0
