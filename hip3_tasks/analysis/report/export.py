"""Write a report as JSON, CSV or thresholds; `html` renders it as a page."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

from hip3_tasks.analysis.measure.horizons import QUANTILES, Horizon
from hip3_tasks.analysis.report.model import Group, Report
from hip3_tasks.errors import Unavailable
from hip3_tasks.stats.bootstrap import Estimate


def check_writable(path: Path) -> None:
    """Check, before any work, that a file can be written. Raises Unavailable if not."""
    if path.is_dir():
        raise Unavailable(f"{path}: a directory; expected the name of a file")
    if not path.parent.is_dir():
        raise Unavailable(f"{path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Unavailable(f"{path}: cannot be written")


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all; a pipe or device is written to. Raises Unavailable if that fails."""
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path.resolve(), text)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}: not written") from None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def as_json(report: Report) -> str:
    return report.model_dump_json(indent=1) + "\n"


def as_csv(report: Report) -> str:
    """A line for each group and offset, all signals first, and one for a group without follow-ups. Unknown is empty."""
    lines = []
    for group in (report.total, *report.groups):
        lines += [_line(group, horizon) for horizon in group.horizons] or [_line(group, None)]
    text = io.StringIO()
    writer = csv.DictWriter(text, max(lines, key=len), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def as_thresholds(report: Report) -> str:
    """The file for HIP3_THRESHOLDS, with the markets whose threshold works."""
    return json.dumps({} if report.search is None else report.search.recommended_bps(), indent=1) + "\n"


def _line(group: Group, horizon: Horizon | None) -> dict[str, object]:
    counts = group.model_dump(include={"signals", "expected", "captured", "cost_bps"})
    return {"group": group.name, **counts, **dict(_columns(horizon) if horizon else ())}


def _columns(horizon: Horizon) -> Iterator[tuple[str, object]]:
    for name, value in horizon:
        if isinstance(value, Estimate):
            yield from ((name, value.value), (f"{name}_low", value.low), (f"{name}_high", value.high))
        elif name == "markout_quantiles_bps":
            yield from ((f"markout_p{share * 100:g}_bps", bps) for share, bps in zip(QUANTILES, value, strict=True))
        else:
            yield name, value
