"""Pytest fixtures; a conftest loads them with pytest_plugins = ["hip3_tasks.testing.fixtures"]."""

from collections.abc import Iterator

import pytest

from hip3_tasks.testing.fedtape import FedTape


@pytest.fixture
def fed_tape() -> Iterator[FedTape]:
    """An empty tape in fakeredis, for one test."""
    with FedTape() as tape:
        yield tape
