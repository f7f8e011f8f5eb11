"""CPU and memory of the processes of a running `hip3 up`, by role."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from benchmarks.processes import cpu_s

SERVERS = ("valkey", "redis")
ROLES = {"flower": "flower", "worker": "worker", "page": "page", "record": "recorder", "-S": "reaper", "feed": "feed"}
"""Role by a word of the command line. In every release, only the reaper runs with the option `-S` of Python."""
POOL = "worker pool"
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """CPU and memory of one role during a measurement; memory is the largest that was measured, in MB."""

    cpu_share: float
    """CPU time as a share of one core."""
    rss_mb: float
    pss_mb: float
    """Proportional set size: shared pages are divided among processes. RSS where the system has no PSS."""
    grown_mb: float
    """PSS at the end minus PSS at the start."""


@dataclass(slots=True)
class ProcessTime:
    """CPU seconds of one process, without its children, at the first and the last look."""

    role: str
    first_s: float
    last_s: float


@dataclass(slots=True)
class Footprint:
    """All descendants of one process, measured at regular looks."""

    root: psutil.Process
    seconds: float = 0.0
    """Time from the first look to the last."""
    marks: dict[int, ProcessTime] = field(default_factory=dict)
    memory_mb: list[dict[str, tuple[float, float]]] = field(default_factory=list)
    """RSS and PSS of each role, one entry per look."""

    def look(self, at_s: float) -> None:
        """Record the CPU time of each process; `at_s` is the time since the first look."""
        for process, role in self._living():
            with suppress(psutil.Error, OSError):
                used_s = cpu_s(process)
                born_s = 0.0 if at_s else used_s
                self.marks.setdefault(process.pid, ProcessTime(role, born_s, used_s)).last_s = used_s
        self.seconds = at_s

    def weigh(self) -> None:
        """Record the memory of each role, which takes some milliseconds."""
        rss, pss = Counter[str](), Counter[str]()
        for process, role in self._living():
            with suppress(psutil.Error):
                info = process.memory_full_info()
                for name in (role, ALL):
                    rss[name] += info.rss / 1e6
                    pss[name] += getattr(info, "pss", info.rss) / 1e6
        self.memory_mb.append({role: (rss[role], pss[role]) for role in rss})

    def usages(self) -> dict[str, Usage]:
        """The usage of each role, and of all roles together."""
        used_s = Counter[str]()
        for mark in self.marks.values():
            used_s[mark.role] += mark.last_s - mark.first_s
            used_s[ALL] += mark.last_s - mark.first_s
        return {role: self._usage(role, used_s[role]) for role in used_s}

    def roles(self) -> set[str]:
        return {role for _, role in self._living()}

    def _usage(self, role: str, used_s: float) -> Usage:
        weights = [look.get(role, (0.0, 0.0)) for look in self.memory_mb]
        pss_mb = [pss for _, pss in weights]
        return Usage(
            cpu_share=used_s / self.seconds,
            rss_mb=max(rss for rss, _ in weights),
            pss_mb=max(pss_mb),
            grown_mb=pss_mb[-1] - pss_mb[0],
        )

    def _living(self) -> Iterator[tuple[psutil.Process, str]]:
        with suppress(psutil.NoSuchProcess):
            yield self.root, "up"
            for child in self.root.children():
                with suppress(psutil.Error):
                    role = role_of(child.cmdline())
                    yield child, role
                    below = POOL if role == "worker" else role
                    yield from ((process, below) for process in child.children(recursive=True))


def role_of(command: Sequence[str]) -> str:
    """The role of a child of `hip3 up`, by its command line; `other` when it is not known."""
    program, *arguments = command or [""]
    name = program.split(" ")[0].rpartition("/")[2]
    if name.startswith(SERVERS):
        return "server"
    words = {word for argument in arguments for word in argument.rpartition("/")[2].split(".")}
    return next((role for word, role in ROLES.items() if word in words), "other")
