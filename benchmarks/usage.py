"""CPU and memory of the processes of a run, and the CPU of the whole machine."""

import os
import time
from dataclasses import astuple, dataclass
from typing import Self

from benchmarks.figures import Cost
from benchmarks.processes import Memory, Tree, busy_s


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of a clock, and CPU seconds of each process, of the benchmark itself and of the whole machine."""

    at_s: float
    worker: float
    server: float
    flower: float
    own: float
    machine: float

    def since(self, before: Self) -> Self:
        return type(self)(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))

    def without_idle(self, idle: Self) -> Self:
        """The CPU less the CPU of an idle system in the same time."""
        share = self.at_s / idle.at_s
        return type(self)(*(mine - other * share for mine, other in zip(astuple(self), astuple(idle), strict=True)))


class Parts(dict[str, Tree]):
    """The running processes by name: server, worker, perhaps Flower."""

    def used(self) -> Used:
        cpu_s = {name: tree.cpu_s() for name, tree in self.items()}
        by_part = (cpu_s.get(name, 0.0) for name in ("worker", "server", "flower"))
        return Used(time.monotonic(), *by_part, own=sum(os.times()[:2]), machine=busy_s())

    def memory(self) -> dict[str, Memory]:
        return {name: tree.memory() for name, tree in self.items()}

    def must_run(self) -> None:
        for tree in self.values():
            tree.must_run()


def cost(
    used: Used, idle: Used, *, captures: int, publish_s: float, memory: dict[str, Memory], before: dict[str, Memory]
) -> Cost:
    """CPU per capture, and memory; `used.worker` is without publishing."""
    busy = used.without_idle(idle)

    def us(seconds: float) -> float:
        return round(seconds * 1e6 / captures, 1)

    return Cost(
        publish_us=us(publish_s),
        worker_us=us(busy.worker),
        server_us=us(busy.server),
        flower_us=us(busy.flower) if "flower" in memory else None,
        idle_cores=round((idle.worker + idle.server) / idle.at_s, 3),
        worker_mb=round(memory["worker"].peak, 1),
        worker_unique_mb=round(memory["worker"].unique, 1),
        worker_before_mb=round(before["worker"].now, 1),
        server_mb=round(memory["server"].peak, 1),
        server_before_mb=round(before["server"].now, 1),
    )
