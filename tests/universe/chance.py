"""The choices of one universe, all from its seed, and a count of each kind of fault that was drawn."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
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
    """One life of a process: from its start to its death, after which it has no effect.

    `stop` lets time pass for all others.
    """

    def __init__(self, name: str, chance: Chance, stop: Callable[[], None] = lambda: None) -> None:
        self.name, self._chance, self._stop = name, chance, stop
        self.is_alive = True
        self.ended = asyncio.Event()
        """Set when it has died or, for a feed, when its task is done."""
        self.ends_after: int | None = None
        """The number of effects (server calls, system calls) until it is killed; None while it is not to be killed."""
        self.ends_on_disk = False
        """Whether only system calls count: there are few among many server calls."""

        self.stops_after: int | None = None
        """The number of effects until it stops for a while, within the next one."""
        self.on_death: Callable[[], None] = lambda: None
        """Called when it is killed: the power may be cut, which kills it."""

    def end(self) -> None:
        self.is_alive = False
        self.ended.set()

    def kill(self) -> None:
        self.end()
        self.on_death()
        raise Killed(self.name)

    def check(self) -> None:
        """Raises Killed when the process is dead."""
        if not self.is_alive:
            raise Killed(self.name)

    @property
    def stops_here(self) -> bool:
        """Whether it is to stop within the effect that comes next."""
        return self.stops_after == 0

    def begin_effect(self) -> None:
        """Stop for a while if it is to. Raises Killed when the process is dead."""
        self.check()
        if self.stops_after is None:
            return
        self.stops_after -= 1
        if self.stops_after < 0:
            self.stops_after = None
            self._chance.drawn[f"{self.name} stops within a call"] += 1
            self._stop()
            self.check()

    def is_last_effect(self, *, on_disk: bool) -> bool:
        """Count an effect; whether the process is to die at it."""
        if self.ends_after is None or (self.ends_on_disk and not on_disk):
            return False
        self.ends_after -= 1
        return self.ends_after < 0
