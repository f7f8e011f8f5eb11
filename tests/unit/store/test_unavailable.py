import pytest
import redis

from hip3_tasks.store.store import unavailable


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (redis.ReadOnlyError("a read only replica."), "Redis refuses: a read only replica; correct that on the server"),
        (redis.ResponseError("no permissions"), "Redis refuses: no permissions; correct that on the server"),
        (redis.ConnectionError("Error 111"), "Redis: Error 111"),
    ],
)
def test_a_command_says_whether_redis_is_away_or_refuses(error: redis.RedisError, text: str) -> None:
    assert str(unavailable(error)).startswith(text)
