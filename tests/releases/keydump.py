"""A feed's Redis keys as plain JSON, which can be loaded into any server."""

import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import redis

from hip3_tasks.store.keys import Keys


class Kind(NamedTuple):
    """How to read and write the value of one Redis type."""

    read: Callable[[redis.Redis, bytes], Any]
    write: Callable[[redis.Redis, str, Any], object]


KINDS = {
    "string": Kind(lambda client, key: client.get(key), lambda client, key, value: client.set(key, value)),
    "list": Kind(lambda client, key: client.lrange(key, 0, -1), lambda client, key, items: client.rpush(key, *items)),
    "set": Kind(
        lambda client, key: sorted(client.smembers(key)), lambda client, key, members: client.sadd(key, *members)
    ),
    "zset": Kind(
        lambda client, key: client.zrange(key, 0, -1, withscores=True),
        lambda client, key, pairs: client.zadd(key, dict(pairs)),
    ),
    "hash": Kind(lambda client, key: client.hgetall(key), lambda client, key, fields: client.hset(key, mapping=fields)),
    "stream": Kind(
        lambda client, key: client.xrange(key),
        lambda client, key, entries: [client.xadd(key, fields, id=entry_id) for entry_id, fields in entries],
    ),
}
ANY_NAME = "hip3:NAME:"
ANY_HOST = "HOST"


def dumped(client: redis.Redis, keys: Keys, *, host: str) -> bytes:
    """Every key of a feed, by its name without the prefix; the names of feed and machine are replaced in the values."""
    names = sorted(client.scan_iter(f"{keys.prefix}*", count=1000))
    entries = {name.decode().removeprefix(keys.prefix): _entry(client, name) for name in names}
    document = orjson.dumps(entries, option=orjson.OPT_INDENT_2).decode()
    return document.replace(keys.prefix, ANY_NAME).replace(host, ANY_HOST).encode()


def write(path: Path, dump: bytes) -> None:
    path.write_bytes(lzma.compress(dump, preset=9 | lzma.PRESET_EXTREME))


def load(client: redis.Redis, keys: Keys, path: Path) -> None:
    """Write the keys of a dump to a server, with the prefix of `keys`. None of them expires."""
    document = lzma.decompress(path.read_bytes()).decode().replace(ANY_NAME, keys.prefix)
    for name, key in orjson.loads(document).items():
        KINDS[key["type"]].write(client, keys.prefix + name, key["value"])


def _entry(client: redis.Redis, name: bytes) -> dict[str, Any]:
    kind, ttl_ms = client.type(name).decode(), client.pttl(name)
    value = _text(KINDS[kind].read(client, name))
    return {"type": kind, "ttl_ms": ttl_ms if ttl_ms > 0 else None, "value": value}


def _text(value: Any) -> Any:
    """The value with bytes decoded. Raises UnicodeDecodeError when bytes are not UTF-8."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {_text(name): _text(inner) for name, inner in value.items()}
    return [_text(inner) for inner in value] if isinstance(value, list | tuple) else value
