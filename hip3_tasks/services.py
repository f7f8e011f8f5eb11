"""The services feed, workers and simulator: packages beside `hip3_tasks` in a checkout or the image, not in the wheel.

They are imported and started by their path, so that a folder or a `celeryconfig.py` of another project, in the working
directory or on the module path, is never used instead.
"""

import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from runpy import run_path
from types import ModuleType
from typing import Any

from hip3_tasks.errors import Unavailable

ROOT = Path(__file__).resolve().parents[1]
REQUIRED_FILES = ("celeryconfig.py", "feed/__main__.py", "workers/due_batches/strategy.py", "simulator/__main__.py")
CELERY_NAMES, CELERY_PREFIX = ("BROKER_URL",), "CELERY_"
"""Celery's command line takes options from such variables; those of another project must not reach it."""


def are_installed() -> bool:
    """Whether this is a checkout or the image, and not an installed wheel."""
    return all((ROOT / name).is_file() for name in REQUIRED_FILES)


def require(command: str) -> None:
    """Raise Unavailable when the services are not installed."""
    if not are_installed():
        raise Unavailable(
            f"{command} needs the services, and the wheel has only the library: "
            "use `make run` in a clone of the repository, or `docker compose up`"
        )


def load_package(name: str) -> ModuleType:
    """Import a service's package by its path; it repaths another module of that name."""
    path = ROOT / name / "__init__.py"
    module = sys.modules.get(name)
    if module is None or module.__file__ != str(path):
        for other in [other for other in sys.modules if other == name or other.startswith(f"{name}.")]:
            del sys.modules[other]
        spec = spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise Unavailable(f"{path}: cannot be imported")
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def celeryconfig() -> dict[str, Any]:
    """All names of `celeryconfig.py`. Raises BadSetting or Unavailable."""
    return run_path(str(ROOT / "celeryconfig.py"))


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this project, whatever is in the working directory."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment for `command`: with the project on the module path, without variables for Celery."""
    kept = {key: value for key, value in given.items() if key not in CELERY_NAMES and not key.startswith(CELERY_PREFIX)}
    return kept | {"PYTHONPATH": ":".join(filter(None, [str(ROOT), given.get("PYTHONPATH")]))}
