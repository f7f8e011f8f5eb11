"""The queues that are compared, one file each.

The publisher imports such a file and calls `publish(signals)`, a function or a coroutine, which requests the captures
of each signal. Run as a module, the file is the worker. Its docstring describes its configuration, and is printed with
the results.
"""

import ast
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

VENV = Path(sys.prefix)


@dataclass(frozen=True, slots=True)
class Peer:
    """A queue and how to run it; this file imports none of them."""

    name: str
    module: str
    package: str | None
    """The package whose version is printed with the results."""
    processes: int = 2
    """Number of processes that run jobs; 0: the publisher runs them."""
    python: Path = VENV / "bin/python"
    environment: dict[str, str] = field(default_factory=dict)
    publishes_signals: bool = False
    """Whether `publish` also adds signals and captures, atomically. For the others they are added before the run."""
    flower: bool = False

    def configuration(self) -> str:
        source = (Path(__file__).parent / f"{self.module}.py").read_text()
        docstring = " ".join((ast.get_docstring(ast.parse(source)) or "").split())
        return docstring + " Events on (`-E`), Flower attached." * self.flower


ARQ_PYTHON = VENV.with_name(VENV.name + "-arq") / "bin/python"
EVENTS = "BENCHMARK_EVENTS"

PEERS = {
    peer.name: peer
    for peer in (
        Peer("ours", "celery_due_batches", "celery", publishes_signals=True),
        Peer("asyncio", "asyncio_timers", None, processes=0),
        Peer("celery", "celery_default", "celery"),
        Peer("dramatiq", "dramatiq_", "dramatiq"),
        Peer("arq", "arq_", "arq", python=ARQ_PYTHON),
        Peer("taskiq", "taskiq_", "taskiq"),
        Peer("rq", "rq_", "rq"),
        Peer("huey", "huey_", "huey"),
    )
}
OURS_WITH_EVENTS = Peer(
    "ours -E, Flower",
    "celery_due_batches",
    "celery",
    environment={EVENTS: "1"},
    publishes_signals=True,
    flower=True,
)


def become(module: str, *arguments: str) -> None:
    """Turn this process into `python -m module arguments`."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
