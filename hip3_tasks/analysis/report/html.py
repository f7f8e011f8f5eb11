"""The report as one HTML file that needs nothing else, and that is forbidden to ask anybody for anything."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from plotly.offline import get_plotlyjs

from hip3_tasks.analysis.report.html_sections import TITLE, sections
from hip3_tasks.analysis.report.markup import Markup, as_json, element
from hip3_tasks.analysis.report.model import Report
from hip3_tasks.charts import number_format
from hip3_tasks.charts.plotly_parts import CONFIG


def page(report: Report) -> str:
    """The whole file."""
    scripts = get_plotlyjs(), _beside("page.js")
    head = [
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        element("title", f"{TITLE} {number_format.instant(report.first_ms)}"),
        element("style", Markup(_beside("page.css"))),
    ]
    config = element("script", as_json(CONFIG), type="application/json", id="config")
    body = [element("main", sections(report)), config, *(element("script", Markup(script)) for script in scripts)]
    return f"<!DOCTYPE html>\n{element('html', [element('head', head), element('body', body)], lang='en')}\n"


def _policy(scripts: tuple[str, ...]) -> str:
    """Nothing is fetched from anywhere, and nothing runs but these scripts; plotly sets styles as it draws."""
    allowed = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {rest}"


@cache
def _beside(name: str) -> str:
    return files("hip3_tasks.analysis.report").joinpath(name).read_text(encoding="utf-8")
