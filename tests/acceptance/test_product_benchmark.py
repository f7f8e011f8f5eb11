"""The shortest possible run of `make bench-product`."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.product import all_kept
from tests.support.process import ROOT

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

TOO_LONG_S = 150


def test_a_short_run_has_every_figure(tmp_path: Path) -> None:
    keep = tmp_path / "product.jsonl"
    command = [sys.executable, "-m", "benchmarks.product", "--label", "smoke", "--load", "live", "--viewers", "1"]
    size = ["--seconds", "3", "--settle", "0", "--keep", str(keep)]
    run = subprocess.run([*command, *size], cwd=ROOT, capture_output=True, text=True, timeout=TOO_LONG_S)
    assert run.returncode == 0, run.stderr
    (stretch,) = all_kept(keep)
    assert {"feed", "worker", "worker pool", "server", "page", "flower", "recorder", "up", "all"} <= set(stretch.usages)
    assert stretch.delays.captures > 0 and stretch.delays.unseen == 0
    assert 0 <= stretch.delays.read_ms.p50 <= stretch.delays.durable_ms.max
    assert 0 < stretch.delays.written_ms.p50 <= stretch.delays.queued_ms.max
    assert stretch.redis_mb > 0 and stretch.files_mb_a_day["records"] > 0
    assert "| memory, MB: all |" in (tmp_path / "PRODUCT.md").read_text()
