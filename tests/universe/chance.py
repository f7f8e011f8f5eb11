"""The choices of one universe, all from its seed, and a count of each kind of fault that was drawn."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Killed(BaseException):
    """The process ends here; nothing of it runs any more."""


class Chance(random.Random):
    """A seeded source of choices; `drawn` counts them by name, `trace` tells them in order."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.drawn: Counter[str] = Counter()
        self.trace: list[str] = []
        self.is_calm = False
        """Draw no more faults: the end of a universe, in which everything heals."""

    def happens(self, name: str, probability: float) -> bool:
        """Whether a fault happens now."""
        if self.is_calm or self.random() >= probability:
            return False
        self.drawn[name] += 1
        return True

    def pick(self, weights: dict[str, float]) -> str:
        return self.choices(list(weights), list(weights.values()))[0]

    def some(self, values: Sequence[T]) -> list[T]:
        return self.sample(values, self.randint(1, len(values)))

    def tell(self, at_s: float, text: str) -> None:
        self.trace.append(f"{at_s:9.4f} {text}")


class Life:
    """One life of a process: from its start to its death, after which it has no effect."""

    def __init__(self, name: str, chance: Chance) -> None:
        self.name, self._chance = name, chance
        self.is_alive = True
        self.ended = asyncio.Event()
        """Set when it has died or, for a feed, when its task is done."""
        self.ends_after: int | None = None
        """The number of effects (server calls, system calls) until it is killed; None while it is not to be killed."""

    def end(self) -> None:
        self.is_alive = False
        self.ended.set()

    def kill(self) -> None:
        self.end()
        raise Killed(self.name)

    def check(self) -> None:
        """Raises Killed when the process is dead."""
        if not self.is_alive:
            raise Killed(self.name)

    def is_last_effect(self) -> bool:
        """Count an effect; whether the process is to die at it."""
        if self.ends_after is None:
            return False
        self.ends_after -= 1
        return self.ends_after < 0
