"""`hip3 quarantine`: messages that no worker could handle, to look at, to queue again, or to delete."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import orjson
import redis

from hip3_tasks.errors import BadSelection
from hip3_tasks.run_file import located
from hip3_tasks.settings import Settings
from hip3_tasks.store.store import Store, unavailable
from hip3_tasks.terminal_text import counted, printable

Action = Literal["list", "show", "retry", "drop"]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message in the quarantine, named by its content: positions change with each one that comes."""

    raw: bytes

    @property
    def id(self) -> str:
        return sha256(self.raw).hexdigest()[:8]

    @property
    def message(self) -> bytes:
        """The message as it was queued. One that a worker could not restore is in a list with exchange and key."""
        with suppress(ValueError, TypeError):
            message, _, _ = orjson.loads(self.raw)
            return orjson.dumps(message) if isinstance(message, dict) else self.raw
        return self.raw

    @property
    def title(self) -> str:
        """Task and id, or how the message begins."""
        with suppress(ValueError, TypeError, KeyError):
            headers = orjson.loads(self.message)["headers"]
            return printable(f"{headers['task']} {headers['id']}")
        return repr(self.raw[:60])


def quarantine_command(chosen: Settings, action: Action, ids: Sequence[str]) -> int:
    """Do this with these messages, with all of them if none is named. Raises BadSelection and Unavailable."""
    store = Store.from_settings(located(chosen))
    try:
        messages = _selected(map(Quarantined, dict.fromkeys(store.quarantined())), ids)
        for message in messages:
            if action == "retry":
                store.queue_again(message.raw, message.message)
            elif action == "drop":
                store.drop_quarantined(message.raw)
            text = printable(message.raw.decode(errors="backslashreplace")) if action == "show" else message.title
            print(f"{message.id} {text}")
    except redis.RedisError as error:
        raise unavailable(error) from None
    done = {"retry": " queued again", "drop": " deleted"}.get(action, "")
    print(f"{counted(len(messages), 'message')}{done}")
    return 0


def _selected(messages: Iterable[Quarantined], ids: Sequence[str]) -> list[Quarantined]:
    by_id = {message.id: message for message in messages}
    if unknown := [message_id for message_id in ids if message_id not in by_id]:
        raise BadSelection(f"{unknown[0]}: not in the quarantine; `hip3 quarantine list` names what is")
    return [by_id[message_id] for message_id in dict.fromkeys(ids)] if ids else list(by_id.values())
