"""A feed that dies in a burst, and its successor at each effect of its start: no signal is lost, none is there twice.

An effect is a call of the server or a system call on a file; a death between two effects is a death before the second.
"""

from itertools import count

import pytest

from tests.universe.world import World, run_world


@pytest.mark.parametrize("in_burst", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(2))
def test_a_feed_may_die_at_each_effect_of_its_start(seed: int, in_burst: int) -> None:
    for effect in count():
        worlds: list[World] = []

        async def course(world: World, effect: int = effect, worlds: list[World] = worlds) -> None:
            worlds.append(world)
            await world.run_deaths(in_burst, [effect])

        result = run_world(seed, course)
        assert result.failure == "", (effect, result.trace)
        assert result.signals >= 3, (effect, result.trace)
        if worlds[0].reached_live[1]:
            break
    assert effect > 10
