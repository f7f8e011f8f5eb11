"""The report as one HTML file that needs no other file and cannot load anything."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from hip3_tasks.analysis.measure.levels import IN_SAMPLE_SHARE
from hip3_tasks.analysis.measure.threshold_search import ThresholdSearch
from hip3_tasks.analysis.reporting import figures, tables
from hip3_tasks.analysis.reporting.model import Report, left_out
from hip3_tasks.analysis.reporting.tables import BoundValue, Row, group_row
from hip3_tasks.charts import number_format
from hip3_tasks.charts.plotly_parts import CONFIG, Figure
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS
from hip3_tasks.terminal_text import printable

PACKAGE = "hip3_tasks.analysis.reporting"
FORMATS = ("bps", "count", "duration", "horizon", "instant", "level", "percent", "share", "usd")


def as_html(report: Report) -> str:
    """Render `templates/page.html`, with plotly's script inside."""
    environment = Environment(
        loader=PackageLoader(PACKAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    formats = {name: getattr(number_format, name) for name in FORMATS}
    environment.globals.update(formats, missing=number_format.MISSING, printable=printable)
    scripts = get_plotlyjs(), files(PACKAGE).joinpath("templates", "page.js").read_text(encoding="utf-8")
    document = BoundValue(report.model_dump(mode="json") | {"derived": _derived(report)})
    return environment.get_template("page.html").render(
        report=document,
        headline=report.headline,
        warnings=report.warnings(),
        figures=_figures(report),
        groups=_groups(report, document),
        trips=[document["total"]["trips"][place] for place in report.shown_trips()],
        how=report.taken.how() if report.taken else "",
        left_out=left_out,
        costs=report.costs(),
        sums_used=report.sums_used(),
        report_row=group_row(report, document["total"]),
        choices=_choices(report.search, document["search"]["choices"]) if report.search else [],
        columns=tables,
        min_clusters=MIN_CLUSTERS,
        first_part=IN_SAMPLE_SHARE,
        policy=_policy(scripts),
        config=CONFIG,
        scripts=scripts,
    )


def _derived(report: Report) -> dict[str, int | float | None]:
    """Numbers of the page that the JSON does not hold as such; on the page, their paths begin with `derived`."""
    coverage, choices = report.coverage, report.search.choices if report.search else []
    tuned, held, proven = report.search.overfit_counts() if report.search else (0, 0, 0)
    return {
        "captured_share": coverage.captured_share,
        "missed": sum(coverage.missed.values()),
        "tuned": tuned,
        "held": held,
        "proven": proven,
        "markets": len(choices),
        "cluster_min": report.cluster_ms // 60_000,
        "files": len(report.notes.files),
        "rows": sum(note.rows for note in report.notes.files),
        "broken": report.notes.broken,
    }


def _figures(report: Report) -> dict[str, Figure | None]:
    drawn = {name: draw(report) for name, draw in figures.DRAWN.items()}
    if report.search is not None and not any(choice.in_sample for choice in report.search.choices):
        drawn["thresholds"] = None
    return drawn


def _groups(report: Report, document: BoundValue) -> list[Row]:
    """All signals and each group, in the order of the figures."""
    place = {id(group): place for place, group in enumerate(report.groups)}
    groups = (document["groups"][place[id(group)]] for group in figures.best_first(report)[1:])
    return [group_row(report, group) for group in (document["total"], *groups)]


def _choices(search: ThresholdSearch, choices: BoundValue) -> list[BoundValue]:
    """The markets in the order of the figure."""
    place = {id(choice): place for place, choice in enumerate(search.choices)}
    return [choices[place[id(choice)]] for choice in figures.best_tuned(search)]


def _policy(scripts: Sequence[str]) -> str:
    """The Content-Security-Policy: no loads, and no scripts but these; plotly sets styles while it draws."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {hashes}; {rest}"
