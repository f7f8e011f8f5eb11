"""`python -m tools.settings_docs`: write the settings into docs/settings.md and .env.example, between their markers.

A setting is edited in one place, the Settings class. The text outside the markers is written by hand.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hip3_tasks.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
PAGE, EXAMPLE = ROOT / "docs" / "settings.md", ROOT / ".env.example"
GROUPS = {
    "venue": "Venue, data and Redis",
    "dexes": "Markets",
    "min_edge_bps": "Signals and follow-ups",
    "worker_wait_s": "Feed and storage",
    "autoscale": "Workers, pages and logs",
}
"""The first field of each group, and the title of the group."""
UNITS = {"ms": "ms", "s": "s", "bps": "bps", "mb": "MB", "days": "days"}
FIXED_BY_COMPOSE = {"data_dir", "redis_url", "health_dir", "page_host"}
"""Settings that a user of Compose does not choose."""
MARKER = re.compile(r"^.*(?:settings: begin|settings: end).*$", re.MULTILINE)
COMPOSE_DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")

SCHEMA = Settings.model_json_schema()["properties"]


def page(text: str) -> str:
    """docs/settings.md with a table of the settings of each group."""
    tables = []
    for names in grouped():
        rows = [f"| `{variable(name)}` | {default(name)} | {values(name)} | {meaning(name)} |" for name in names]
        title = f"### {GROUPS[names[0]]}\n\n| setting | default | unit, range | meaning |\n| --- | --- | --- | --- |"
        tables.append("\n".join([title, *rows]))
    return between_markers(text, "\n\n" + "\n\n".join(tables) + "\n\n")


def example(text: str) -> str:
    """.env.example with the settings that Compose passes on, each with its default there."""
    compose = (ROOT / "docker-compose.yml").read_text()
    defaults = dict(COMPOSE_DEFAULT.findall(compose))
    groups = []
    for names in grouped():
        lines = [f"# --- {GROUPS[names[0]]}"]
        for name in names:
            if name not in FIXED_BY_COMPOSE:
                details = f" ({values(name)})" if values(name) else ""
                lines.append(f"# {meaning(name).replace('`', '')}{details}")
                lines.append(f"#{variable(name)}={defaults.get(variable(name)) or plain_default(name)}")
        groups.append("\n".join(lines))
    return between_markers(text, "\n" + "\n\n".join(groups) + "\n")


def between_markers(text: str, middle: str) -> str:
    begin, end = MARKER.finditer(text)
    return text[: begin.end()] + middle + text[end.start() :]


def grouped() -> list[list[str]]:
    groups: list[list[str]] = []
    for name in Settings.model_fields:
        if name in GROUPS:
            groups.append([])
        groups[-1].append(name)
    return groups


def variable(name: str) -> str:
    return PREFIX + name.upper()


def meaning(name: str) -> str:
    text = (Settings.model_fields[name].description or "").partition("; default: ")[0]
    return text[:1].upper() + text[1:] if text[:1] != "`" else text


def default(name: str) -> str:
    """The default in words if the description has it, else the value."""
    _, _, words = (Settings.model_fields[name].description or "").partition("; default: ")
    return words or f"`{plain_default(name)}`"


def plain_default(name: str) -> str:
    value = Settings.model_fields[name].default
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def values(name: str) -> str:
    """The unit and the allowed values of a setting."""
    schema: dict[str, Any] = SCHEMA[name]
    schema = schema.get("anyOf", [schema])[0]
    is_list = schema.get("type") == "array"
    schema = schema.get("items", schema)
    words = [UNITS.get(name.rpartition("_")[2], ""), "comma-separated" if is_list else "", limits(schema)]
    return ", ".join(filter(None, words))


def limits(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    lowest, above, highest = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    if lowest is not None and highest is not None:
        return f"{lowest:g} to {highest}"
    words = [f"at least {lowest:g}" if lowest is not None else "", f"above {above:g}" if above is not None else ""]
    return " ".join(filter(None, [*words, f"up to {highest}" if highest is not None else ""]))


def main() -> None:
    writers: dict[Path, Callable[[str], str]] = {PAGE: page, EXAMPLE: example}
    for path, write in writers.items():
        path.write_text(write(path.read_text()))
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
