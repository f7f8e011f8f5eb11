"""Problems as they come and go, each told once."""

from collections.abc import Sequence

from hip3_tasks.status.redis_snapshot import subject


class ProblemChanges:
    """What was red at the last look."""

    def __init__(self) -> None:
        self._red: dict[Sequence[str], str] = {}

    def told(self, problems: Sequence[str]) -> list[str]:
        """What is red now and was not before, and what was and is no longer."""
        before, self._red = self._red, {subject(problem): problem for problem in problems}
        begun = [f"red: {problem}" for about, problem in self._red.items() if about not in before]
        ended = [f"over: {problem}" for about, problem in before.items() if about not in self._red]
        return begun + ended
