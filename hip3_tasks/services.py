"""The services feed, workers and simulator: packages beside `hip3_tasks` in a checkout or the image, never in a wheel.

They are imported and started by their place, so that a folder or a `celeryconfig.py` of somebody else, in the working
directory or anywhere on the path, is never taken for ours.
"""

import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hip3_tasks.errors import Unavailable

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("celeryconfig.py", "feed/__main__.py", "workers/due_batches/strategy.py", "simulator/__main__.py")
FOREIGN = ("BROKER_URL",)
FOREIGN_PREFIX = "CELERY_"
"""Celery's command line takes any option from such a variable: those of another project's shell are not for us."""


def are_installed() -> bool:
    """Whether this is a checkout or the image, and no bare wheel."""
    return all((ROOT / part).is_file() for part in PARTS)


def require(command: str) -> None:
    """Raise Unavailable where there are no services to run."""
    if not are_installed():
        raise Unavailable(
            f"{command} needs the services, and the wheel has only the library: "
            "run `make run` in a clone of the repository, or `docker compose up`"
        )


def load_package(name: str) -> ModuleType:
    """Import one of our packages by its place; one of that name that was imported before makes way."""
    place = ROOT / name / "__init__.py"
    module = sys.modules.get(name)
    if module is None or module.__file__ != str(place):
        for other in [other for other in sys.modules if other == name or other.startswith(f"{name}.")]:
            del sys.modules[other]
        module = _module(name, place)
        sys.modules[name] = module
        _execute(module)
    return module


def celeryconfig() -> dict[str, Any]:
    """All names in `celeryconfig.py`. Raises what reading HIP3_* settings raises."""
    module = _module("celeryconfig", ROOT / "celeryconfig.py")
    _execute(module)
    return vars(module)


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules, whatever the working directory holds."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """An environment in which the modules of `command` are found, without the Celery variables of other projects."""
    kept = {name: value for name, value in given.items() if name not in FOREIGN and not name.startswith(FOREIGN_PREFIX)}
    return kept | {"PYTHONPATH": ":".join(filter(None, [str(ROOT), given.get("PYTHONPATH")]))}


def _module(name: str, place: Path) -> ModuleType:
    spec = spec_from_file_location(name, place)
    if spec is None:
        raise Unavailable(f"{place}: cannot be imported")
    return module_from_spec(spec)


def _execute(module: ModuleType) -> None:
    assert module.__spec__ and module.__spec__.loader
    module.__spec__.loader.exec_module(module)
