"""A report as the page shows it: every number says where in the JSON it stands, and what it is there exactly."""

import json
from collections.abc import Callable
from typing import Any

from hip3_tasks.analysis.report.markup import Markup, element, joined
from hip3_tasks.analysis.report.model import Report
from hip3_tasks.charts import number_format

Path = tuple[str | int, ...]
"""From the top of the JSON to a value. Written with dots; in a name, `~1` is a dot and `~0` a tilde."""


class Exhibit:
    """A report's JSON, with what follows from it under `derived`."""

    def __init__(self, report: Report) -> None:
        self.document = report.model_dump(mode="json") | {"derived": derived(report)}

    def at(self, *path: str | int) -> Any:
        found: Any = self.document
        for step in path:
            found = found[step]
        return found

    def number(self, form: Callable[[Any], str], *path: str | int, tag: str = "span", class_: str = "") -> Markup:
        """A value as `form` writes it."""
        value = self.at(*path)
        exact = "" if value is None else json.dumps(value)
        looks = {"class_": class_} if class_ else {}
        return element(tag, form(value), data_path=written(path), data_value=exact, **looks)

    def band(self, form: number_format.Format, *path: str | int) -> Markup:
        """From low to high of the estimate there; nothing where there is no band."""
        if self.at(*path, "low") is None:
            return Markup("")
        low, high = (self.number(form, *path, end) for end in ("low", "high"))
        return element("small", [low, " … ", high], class_="band")

    def estimate(self, form: number_format.Format, *path: str | int) -> Markup:
        """Value and band."""
        return joined([self.number(form, *path, "value"), self.band(form, *path)])


def derived(report: Report) -> dict[str, int | float | None]:
    """What the page says in words that the JSON leaves to its reader to count."""
    covered, choices = report.coverage, report.search.choices if report.search else []
    tuned, held, proven = report.search.tuned() if report.search else (0, 0, 0)
    return {
        "captured_share": covered.captured_share,
        "missed": sum(covered.missed.values()),
        "tuned": tuned,
        "held": held,
        "proven": proven,
        "markets": len(choices),
        "cluster_min": report.cluster_ms // 60_000,
        "files": len(report.notes.files),
        "rows": sum(note.rows for note in report.notes.files),
        "broken": report.notes.broken,
    }


def written(path: Path) -> str:
    return ".".join(str(step).replace("~", "~0").replace(".", "~1") for step in path)
