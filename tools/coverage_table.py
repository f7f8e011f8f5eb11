"""`python -m tools.coverage_table`: coverage by package; exit 1 when the domain has a line or branch without a test."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GATED = "hip3_tasks/domain"
COUNTS = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def by_package(files: Mapping[str, Any]) -> dict[str, Counter[str]]:
    """Counts of statements and branches by folder, from the `files` of `coverage json`."""
    packages: dict[str, Counter[str]] = defaultdict(Counter)
    for name, file in files.items():
        packages[str(Path(name).parent)].update({count: file["summary"][count] for count in COUNTS})
    return dict(sorted(packages.items()))


def table(packages: Mapping[str, Counter[str]]) -> str:
    lines = [f"{'package':<34} {'statements':>10} {'covered':>8} {'branches':>9} {'covered':>8}"]
    total = sum(packages.values(), Counter[str]())
    for name, counts in [*packages.items(), ("all", total)]:
        lines.append(
            f"{name:<34} {counts['num_statements']:>10,} {_share(counts, 'covered_lines', 'num_statements'):>8} "
            f"{counts['num_branches']:>9,} {_share(counts, 'covered_branches', 'num_branches'):>8}"
        )
    return "\n".join(lines)


def gaps(files: Mapping[str, Any]) -> list[str]:
    """Lines and branches of the domain that no test reaches. A domain that was not measured is a gap, too."""
    domain = {name: file for name, file in files.items() if Path(name).is_relative_to(GATED)}
    if not domain:
        return [f"{GATED}: not measured"]
    lines = [f"{name}:{line}: not reached" for name, file in domain.items() for line in file["missing_lines"]]
    branches = [(name, *branch) for name, file in domain.items() for branch in file["missing_branches"]]
    return lines + [f"{name}:{start}: never goes to {end}" for name, start, end in branches]


def _share(counts: Counter[str], covered: str, everything: str) -> str:
    return f"{counts[covered] / counts[everything]:.0%}" if counts[everything] else "-"


def main() -> int:
    report = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", "-"]
    files = json.loads(subprocess.run(report, check=True, stdout=subprocess.PIPE).stdout)["files"]
    print(table(by_package(files)))
    missing = gaps(files)
    print(*missing, sep="\n", end="\n" if missing else "")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
