"""CPU and memory of the processes of a running `hip3 up`, by role."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from benchmarks.processes import cpu_s

SERVERS = ("valkey", "redis")
ROLES = {"flower": "flower", "worker": "worker", "page": "page", "reaper": "reaper", "warden": "reaper", "feed": "feed"}
"""Role by a word of the command line; `warden` is the name that the reaper had in release 0.1.0."""
POOL = "worker pool"
ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One role over a stretch; memory in MB, the most that was seen."""

    cpu_share: float
    """Share of a core."""
    rss_mb: float
    pss_mb: float
    """What is shared counts in parts, so that roles add up; RSS where the system does not tell."""
    grown_mb: float
    """PSS at the end less that at the begin."""


@dataclass(slots=True)
class Mark:
    """The CPU time of one process, alone, when it was first and last seen."""

    role: str
    first_s: float
    last_s: float


@dataclass(slots=True)
class Footprint:
    """All processes below one, looked at again and again."""

    root: psutil.Process
    seconds: float = 0.0
    """How long it has been looked at."""
    marks: dict[int, Mark] = field(default_factory=dict)
    memory_mb: list[dict[str, tuple[float, float]]] = field(default_factory=list)
    """RSS and PSS of each role, by look."""

    def look(self, at_s: float) -> None:
        """Note the CPU time of each; `at_s` is the time since the first look."""
        for process, role in self._living():
            with suppress(psutil.Error, OSError):
                used_s = cpu_s(process)
                born_s = 0.0 if at_s else used_s
                self.marks.setdefault(process.pid, Mark(role, born_s, used_s)).last_s = used_s
        self.seconds = at_s

    def weigh(self) -> None:
        """Note the memory of each, which costs some milliseconds."""
        rss, pss = Counter[str](), Counter[str]()
        for process, role in self._living():
            with suppress(psutil.Error):
                info = process.memory_full_info()
                for name in (role, ALL):
                    rss[name] += info.rss / 1e6
                    pss[name] += getattr(info, "pss", info.rss) / 1e6
        self.memory_mb.append({role: (rss[role], pss[role]) for role in rss})

    def usages(self) -> dict[str, Usage]:
        """The usage of each role, and of all together."""
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
    """The role of a child of `hip3 up`, by its command line; `other` for one that is not known."""
    program, *arguments = command or [""]
    name = program.split(" ")[0].rpartition("/")[2]
    if name.startswith(SERVERS):
        return "server"
    words = {word for argument in arguments for word in argument.rpartition("/")[2].split(".")}
    return next((role for word, role in ROLES.items() if word in words), "other")
