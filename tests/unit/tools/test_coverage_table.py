"""The gate of `make coverage`: the domain is covered completely, or the missing lines are named."""

from collections.abc import Sequence
from typing import Any

from tools.coverage_table import by_package, gaps, table


def a_file(*, lines: Sequence[int] = (), branches: Sequence[Sequence[int]] = ()) -> dict[str, Any]:
    summary = {
        "num_statements": 10,
        "covered_lines": 10 - len(lines),
        "num_branches": 4,
        "covered_branches": 4 - len(branches),
    }
    return {"summary": summary, "missing_lines": lines, "missing_branches": branches}


def test_a_covered_domain_has_no_gaps_whatever_others_lack() -> None:
    assert gaps({"hip3_tasks/domain/edge.py": a_file(), "feed/feed.py": a_file(lines=[7])}) == []


def test_each_line_and_branch_that_the_domain_lacks_is_named() -> None:
    files = {"hip3_tasks/domain/edge.py": a_file(lines=[7], branches=[[3, 5]])}
    assert gaps(files) == [
        "hip3_tasks/domain/edge.py:7: not reached",
        "hip3_tasks/domain/edge.py:3: never goes to 5",
    ]


def test_a_domain_that_was_not_measured_is_a_gap() -> None:
    assert gaps({"feed/feed.py": a_file()}) == ["hip3_tasks/domain: not measured"]


def test_the_table_adds_up_files_by_package() -> None:
    files = {"feed/feed.py": a_file(), "feed/wire.py": a_file(lines=[1, 2]), "workers/tasks.py": a_file()}
    packages = by_package(files)
    assert packages["feed"]["num_statements"] == 20 and packages["feed"]["covered_lines"] == 18
    assert [line.split()[2] for line in table(packages).splitlines()[1:]] == ["90%", "100%", "93%"]
