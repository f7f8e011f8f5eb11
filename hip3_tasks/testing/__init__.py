"""Tools for the tests of a bot or an analysis that is built on this project: pip install 'hip3-tasks[testing]'."""

from hip3_tasks.testing.fake import FakeServer

__all__ = ["FakeServer"]
