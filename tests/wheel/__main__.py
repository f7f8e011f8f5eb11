"""`make wheel-test`: test the installed wheel in an empty folder, beside a system that runs from this checkout.

Installs it without and with extras, by pip and by uvx; needs a package index. The exit code is 1 when a check fails.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.support.process import ROOT, ProcessUnderTest, environment
from tests.support.up_system import UpSystem
from tests.support.waiting import eventually

RELEASE = ROOT / "tests" / "releases" / "0.1.0" / "data"
TOP_LEVEL = {"hip3_tasks"}
COMMAND_TIMEOUT_S = 300
CALL = ("celery", "-A", "hip3_tasks", "call", "hip3_tasks.capture_followup", "--args")


@dataclass
class Trial:
    """Runs commands of one environment in an empty folder, and records which of them fail."""

    bin_dir: Path
    folder: Path
    system: UpSystem
    wrong: list[str] = field(default_factory=list)
    passed: int = 0

    def expect(self, status: int, *words: str, contains: str = "", lines: int | None = None) -> None:
        """Run a command, and check its exit status, its output and the number of lines on stderr."""
        done = self._run(words)
        text = done.stdout + done.stderr
        is_right = done.returncode == status and contains in text and "Traceback" not in text
        is_right = is_right and (lines is None or len(done.stderr.splitlines()) == lines)
        self._note(" ".join(words), is_right, f"exit {done.returncode}\n{text}")

    def expect_page(self) -> None:
        """Serve the page, and check that it is healthy."""
        log, stdout = self.folder / "page.log", self.folder / "page.out"
        command = (self.bin_dir / "hip3", "page")
        with ProcessUnderTest(*command, log=log, stdout=stdout, cwd=self.folder, env=self._environment()) as page:
            eventually("the page listens", lambda: page.stdout.endswith("\n"))
            is_right = eventually("the page is healthy", lambda: is_healthy(page.stdout.strip()))
            page.terminate()
            is_right = is_right and page.wait(COMMAND_TIMEOUT_S) == 0
        self._note("hip3 page", is_right, "")

    def _note(self, command: str, is_right: bool, text: str) -> None:
        print(f"  {'right' if is_right else 'WRONG'}  {command}{'' if is_right else f': {text}'}", flush=True)
        self.passed += is_right
        self.wrong += [] if is_right else [command]

    def _environment(self) -> dict[str, str]:
        kept = environment(HIP3_DATA_DIR=str(self.system.data_dir))
        return {name: value for name, value in kept.items() if not name.startswith("PYTHON")}

    def _run(self, words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self.bin_dir / words[0]), *words[1:]],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )


def main() -> int:
    with TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        system = UpSystem(folder / "data", "--rate", "5", "--no-flower")
        try:
            system.wait_for_lines("followups")
            trials = [
                try_bare(wheel, folder, system),
                try_extras(wheel, folder, system),
                try_uvx(wheel, folder, system),
            ]
        finally:
            system.process.terminate()
            system.wait()
    wrong = [command for trial in trials for command in trial.wrong]
    print(f"{sum(trial.passed for trial in trials)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def build(folder: Path) -> Path:
    """Build the wheel from a copy of this checkout, because a build leaves folders behind."""
    source = folder / "source"
    source.mkdir()
    (source / "docs").mkdir()
    for part in ("pyproject.toml", "LICENSE", "docs/package.md"):
        shutil.copy(ROOT / part, source / part)
    shutil.copytree(ROOT / "hip3_tasks", source / "hip3_tasks", ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    return next(folder.glob("hip3_tasks-*.whl"))


def pip(*words: str, python: str = sys.executable) -> None:
    command = [python, "-m", "pip", *words, "--disable-pip-version-check", "-qq", "--no-input"]
    subprocess.run(command, check=True, timeout=COMMAND_TIMEOUT_S)


def environment_with(folder: Path, name: str, requirement: str) -> Path:
    """The `bin` folder of a new environment with a requirement installed."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
    bin_dir = folder / name / "bin"
    pip("install", requirement, python=str(bin_dir / "python"))
    return bin_dir


def try_bare(wheel: Path, folder: Path, system: UpSystem) -> Trial:
    print("the bare wheel", flush=True)
    trial = Trial(environment_with(folder, "bare", str(wheel)), empty(folder, "in-bare"), system)
    site = next((trial.bin_dir.parent / "lib").glob("python*/site-packages"))
    files = next(site.glob("hip3_tasks-*.dist-info")) / "RECORD"
    tops = {line.partition("/")[0] for line in files.read_text().splitlines() if not line.startswith("..")}
    if {top for top in tops if not top.endswith(".dist-info")} != TOP_LEVEL:
        trial.wrong.append(f"the wheel's top level is {sorted(tops)}")
    trial.expect(0, "hip3", "--version", contains="hip3 ")
    for command in ("up", "feed", "simulate"):
        trial.expect(2, "hip3", command, contains="needs the services", lines=1)
    trial.expect(0, "hip3", "audit", str(RELEASE), contains="all is well")
    trial.expect(2, "hip3", "report", str(RELEASE), contains="hip3-tasks[analysis]", lines=1)
    trial.expect(2, "hip3", "page", contains="hip3-tasks[web]", lines=1)
    check_commands(trial)
    trial.expect(2, "celery", "-A", "hip3_tasks", "worker", contains="needs the services")
    return trial


def try_extras(wheel: Path, folder: Path, system: UpSystem) -> Trial:
    print("the wheel with its extras", flush=True)
    bin_dir = environment_with(folder, "full", f"{wheel}[analysis,flower,server,testing,web]")
    trial = Trial(bin_dir, empty(folder, "in-full"), system)
    copy = trial.folder / "copy"
    shutil.copytree(RELEASE, copy)
    trial.expect(0, "hip3", "report", str(copy), "--html", "report.html", contains="signals")
    trial.expect(0, "hip3", "compact", str(copy), contains="compacted")
    trial.expect(0, "hip3", "audit", str(copy), contains="all is well")
    trial.expect(0, "python", "-c", "from hip3_tasks.testing import FedTape, make_signal; make_signal()")
    trial.expect_page()
    check_commands(trial)
    return trial


def try_uvx(wheel: Path, folder: Path, system: UpSystem) -> Trial:
    print("uvx", flush=True)
    uv = environment_with(folder, "uv", "uv")
    trial = Trial(uv, empty(folder, "in-uvx"), system)
    trial.expect(0, "uvx", "--from", str(wheel), "hip3", "--version", contains="hip3 ")
    trial.expect(0, "uvx", "--from", f"{wheel}[analysis]", "hip3", "report", str(RELEASE), contains="signals")
    return trial


def check_commands(trial: Trial) -> None:
    """Check the commands that need a running system; they must work as in the checkout."""
    signal_id = trial.system.lines("signals")[0]["signal_id"]
    trial.expect(0, "hip3", "status", contains="signals")
    trial.expect(0, "hip3", "status", "--check", contains="all is well")
    trial.expect(0, "hip3", "recapture", signal_id, contains="queued for 1000, 3000, 5000 ms")
    trial.expect(0, "celery", "-A", "hip3_tasks", "status", contains="1 node online")
    trial.expect(0, "celery", "-A", "hip3_tasks", "inspect", "registered", contains="hip3_tasks.capture_followup")
    trial.expect(0, *CALL, json.dumps([signal_id, 1000]))


def is_healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/healthz", timeout=COMMAND_TIMEOUT_S) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except HTTPError:
        return False


def empty(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


if __name__ == "__main__":
    sys.exit(main())
