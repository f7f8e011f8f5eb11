"""The allowed imports between tests, benchmarks and tools."""

import ast
import tomllib
from pathlib import Path
from pkgutil import iter_modules

import pytest

ROOT = Path(__file__).parents[2]
TESTS_OF_BENCHMARKS = ("tests/unit/benchmarks/", "tests/acceptance/test_product_benchmark.py")


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [("benchmarks", {"tests"}), ("tools", {"benchmarks", "tests"}), ("simulator", {"benchmarks", "tests", "tools"})],
)
def test_shared_folders_import_none_of_their_users(folder: str, forbidden: set[str]) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    assert not [path for path in files if imported(path) & forbidden]


def test_only_tests_of_benchmarks_import_benchmarks() -> None:
    paths = [path for path in (ROOT / "tests").rglob("*.py") if "benchmarks" in imported(path)]
    assert not [path for path in paths if not str(path.relative_to(ROOT)).startswith(TESTS_OF_BENCHMARKS)]


def test_the_contract_of_the_transport_forbids_every_other_module() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [row for row in contracts if row.get("source_modules") == ["hip3_tasks.transport"]]
    names = {module.name for module in iter_modules([str(ROOT / "hip3_tasks")])} - {"transport", "__main__"}
    assert {f"hip3_tasks.{name}" for name in names} <= set(contract["forbidden_modules"])
