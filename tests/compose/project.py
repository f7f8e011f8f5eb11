"""One `docker compose up` of this project, controlled through Docker's own commands."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from tests.support import waiting
from tests.support.process import ROOT, environment
from tools.data_files import DataFiles

TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.2
DATA = "data/sim/signals"


class CommandFailed(AssertionError):
    """A command that should succeed has failed."""


def run(*command: str, env: Mapping[str, str] | None = None, within_s: float = 120.0) -> str:
    """Run a command, and return its stdout. Raises CommandFailed when it fails."""
    process = subprocess.run(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within_s
    )
    if process.returncode:
        raise CommandFailed(
            f"{' '.join(command)[:200]}: exit {process.returncode}: {(process.stderr + process.stdout)[-600:]}"
        )
    return process.stdout


eventually = partial(waiting.eventually, within_s=TIMEOUT_S, interval_s=POLL_INTERVAL_S)


@cache
def compose() -> Sequence[str]:
    """The command of Compose: v2 if there is one, else docker-compose."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    return ("docker", "compose") if plugin.returncode == 0 else (shutil.which("docker-compose") or "docker-compose",)


class Project(DataFiles):
    """A Compose project, with its data read through its containers."""

    def __init__(self, name: str, *files: str, **settings: str) -> None:
        self.name = name
        self._files = [word for file in ("docker-compose.yml", *files) for word in ("-f", file)]
        self.environment = environment(COMPOSE_PROJECT_NAME=name, HIP3_VENUE="sim", **settings)

    def compose(self, *arguments: str, within_s: float = 300.0, **settings: str) -> str:
        command = [*compose(), *self._files, "--profile", "sim", *arguments]
        return run(*command, env={**self.environment, **settings}, within_s=within_s)

    # Containers

    def ids(self, service: str) -> list[str]:
        """The ids of the service's containers, oldest first."""
        labels = {"project": self.name, "service": service, "oneoff": "False"}
        filters = [f"--filter=label=com.docker.compose.{label}={value}" for label, value in labels.items()]
        ids = run("docker", "ps", "--all", "--quiet", "--no-trunc", *filters).split()
        return sorted(ids, key=lambda container: str(self.inspect(container)["Created"]))

    def inside(self) -> str:
        """A running container with the data volume."""

        def running() -> list[str]:
            return [
                container
                for container in self.ids("worker") + self.ids("feed")
                if self.inspect(container)["State"]["Running"]
            ]

        return str(eventually("a container with the data", running)[0])

    def inspect(self, container: str) -> dict[str, Any]:
        inspected: dict[str, Any] = json.loads(run("docker", "inspect", container))[0]
        return inspected

    def is_healthy(self, *services: str) -> bool:
        states_of_services = {
            service: [self.inspect(container)["State"] for container in self.ids(service)] for service in services
        }
        return all(
            states and all(state.get("Health", {}).get("Status") == "healthy" for state in states)
            for states in states_of_services.values()
        )

    def until_healthy(self, *services: str, within_s: float = TIMEOUT_S) -> None:
        eventually(f"{', '.join(services)} healthy", lambda: self.is_healthy(*services), within_s=within_s)

    def kill(self, container: str) -> None:
        """Kill all its processes, as in a crash; Docker would not restart it after `docker kill`."""
        before = self.inspect(container)["RestartCount"]
        subprocess.run(["docker", "exec", container, "sh", "-c", "kill -9 -1"], capture_output=True, timeout=30)
        eventually("it is started again", lambda: self.inspect(container)["RestartCount"] > before)

    def execute(self, container: str, *command: str, within_s: float = 120.0) -> str:
        return run("docker", "exec", container, *command, within_s=within_s)

    def processes(self, container: str) -> int:
        """The number of pool processes of a worker; they are grandchildren of the container's init."""
        rows = run("docker", "top", container, "-o", "pid,ppid").splitlines()[1:]
        parents = dict(row.split() for row in rows)
        return sum(parents.get(parent) in parents for parent in parents.values())

    # Its data

    def lines(self, kind: str) -> list[bytes]:
        command = f"cat {DATA}/{kind}_*.jsonl 2>/dev/null || true"
        text = self.execute(self.inside(), "sh", "-c", command)
        return [line.encode() for line in text.split("\n")[:-1]]

    def audit(self) -> str:
        """The last line of `hip3 audit`. Raises CommandFailed when a capture is lost, doubled or wrong."""
        return self.compose("run", "--rm", "--no-deps", "-T", "worker", "hip3", "audit", DATA).splitlines()[-1]
