"""`make clients-test`: other people's clients, unchanged, against a simulated venue.

The clients live in an environment of their own, whose Python is the argument. The exit code is 1 when a call failed.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.process import ROOT, ProcessUnderTest
from tests.support.waiting import eventually

FOLDER = Path(__file__).parent
CLIENTS = {"hyperliquid-python-sdk": "sdk_calls.py", "ccxt": "ccxt_calls.py"}
CLIENT_TIMEOUT_S = 120


def main(python: str) -> int:
    with TemporaryDirectory() as folder:
        command = (sys.executable, "-m", "simulator", "--port", "0")
        log, stdout = Path(folder, "venue.log"), Path(folder, "venue.out")
        with ProcessUnderTest(*command, log=log, stdout=stdout, cwd=ROOT) as venue:
            eventually("the venue listens", lambda: venue.stdout.endswith("\n"))
            codes = [run(name, python, venue.stdout.strip()) for name in CLIENTS]
    return int(any(codes))


def run(name: str, python: str, url: str) -> int:
    """Run the calls of one client, and return its exit code; one that hangs has failed."""
    print(name, flush=True)
    try:
        return subprocess.run([python, str(FOLDER / CLIENTS[name]), url], timeout=CLIENT_TIMEOUT_S).returncode
    except subprocess.TimeoutExpired:
        print(f"  WRONG  {name} did not end within {CLIENT_TIMEOUT_S} s", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
