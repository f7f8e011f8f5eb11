"""HTML in which text from elsewhere stays text: only what was made here is taken for markup."""

import json
from collections.abc import Iterable
from html import escape


class Markup(str):
    """HTML that may stand as it is."""

    __slots__ = ()


Inside = str | Iterable[str]


def element(name: str, inside: Inside = "", /, **attributes: str) -> Markup:
    """`<name ...>inside</name>`; `class_` and `data_path` become `class` and `data-path`."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{given}>{joined(inside)}</{name}>")


def joined(inside: Inside) -> Markup:
    """The parts one after another, each escaped unless it is markup."""
    parts = [inside] if isinstance(inside, str) else inside
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def as_json(value: object) -> Markup:
    """JSON as the inside of a script element, which it cannot end."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e"))
