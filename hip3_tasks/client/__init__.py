"""Signals and their outcomes, for other programs, as they are written: `follow`."""

from hip3_tasks.client.following import Following, follow

__all__ = ["Following", "follow"]
