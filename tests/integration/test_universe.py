"""Whole systems in virtual time: some seeds at each run of the tests, many by `make universe`."""

import subprocess
import sys

import pytest

from tests.support.process import ROOT, environment
from tests.universe.controls import CONTROLS
from tests.universe.seeds import ONCE_FAILED
from tests.universe.world import run_universe

SEEDS_EACH = 20


@pytest.mark.parametrize("first", range(0, 5 * SEEDS_EACH, SEEDS_EACH))
def test_no_accident_breaks_a_law(first: int) -> None:
    results = [run_universe(seed) for seed in range(first, first + SEEDS_EACH)]
    assert [(result.seed, result.failure) for result in results if result.failure] == []
    assert sum(result.followups for result in results) > SEEDS_EACH
    assert sum(result.drawn.total() for result in results) > 10 * SEEDS_EACH


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_a_seed_that_failed_once_fails_no_more(seed: int) -> None:
    assert run_universe(seed).failure == ""


@pytest.mark.parametrize("control", [name for name in CONTROLS if name])
def test_a_fault_that_is_built_in_is_found(control: str) -> None:
    assert any(run_universe(seed, control=control).failure for seed in range(100))


def test_a_seed_is_replayed_to_the_byte() -> None:
    command = sys.executable, "-m", "tests.universe", "--seed", "7"
    runs = [
        subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=True).stdout for _ in range(2)
    ]
    assert runs[0] == runs[1] and runs[0].count(b"\n") > 20
