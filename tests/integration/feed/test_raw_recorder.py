"""`hip3 record --raw`: the frames of a venue are on file as received, and `hip3 import` makes states of them."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from hip3_tasks.health import read_health_file
from tests.support.process import ROOT, ProcessUnderTest, environment
from tests.support.waiting import eventually

IMPORT_S = 60


def test_raw_frames_of_a_venue_become_a_tape(tmp_path: Path) -> None:
    venue = (sys.executable, "-m", "simulator", "--port", "0")
    with ProcessUnderTest(*venue, log=tmp_path / "sim.log", stdout=tmp_path / "sim.out") as simulator:
        eventually("its URL", lambda: simulator.stdout.endswith("\n"), within_s=10)
        hip3 = (sys.executable, "-m", "hip3_tasks")
        record = (*hip3, "record", "--raw", "--venue", simulator.stdout.strip(), "--data-dir", str(tmp_path / "data"))
        logs = {"log": tmp_path / "record.log", "stdout": tmp_path / "record.out"}
        with ProcessUnderTest(*record, env=environment(HIP3_HEALTH_DIR=str(tmp_path)), **logs) as recorder:
            eventually("a file", lambda: sum(path.stat().st_size for path in files(tmp_path)) > 20_000, within_s=20)
            assert read_health_file(tmp_path / "raw-recorder") == []
            recorder.send_signal(signal.SIGTERM)
            assert recorder.wait(10) == 0, recorder.log
    command = (*hip3, "import", *map(str, files(tmp_path)), "--out", str(tmp_path / "tape"), "--json")
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=IMPORT_S, check=False)
    result = json.loads(shown.stdout)
    assert shown.returncode == 0 and result["unusable"] == 0
    assert len(result["markets"]) == 60 and result["states"] > 60


def files(folder: Path) -> list[Path]:
    return sorted((folder / "data/raw").rglob("*.raw.gz"))
