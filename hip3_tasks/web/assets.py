"""The files that a browser loads once: the page, its style and scripts, and plotly's script as it is installed."""

import gzip
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from hip3_tasks.errors import Unavailable

ROOM = Path(__file__).parent


class Assets(StaticFiles):
    """The files of `static/`, and the two that lie elsewhere."""

    def __init__(self) -> None:
        super().__init__(directory=ROOM / "static")

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        # A browser asks each time, mostly for a 304: a new script must not meet an old page.
        response.headers["cache-control"] = "no-cache"
        return response

    def page(self, request: Request) -> Response:
        path = ROOM / "index.html"
        return self.file_response(path, path.stat(), request.scope)

    def plotly(self, request: Request) -> Response:
        path = plotly_script()
        response = self.file_response(path, path.stat(), request.scope)
        response.headers["vary"] = "accept-encoding"
        if response.status_code == 304 or "gzip" not in request.headers.get("accept-encoding", ""):
            return response
        kept = {name: response.headers[name] for name in ("etag", "cache-control", "vary", "content-type")}
        return Response(plotly_gzipped(), headers=kept | {"content-encoding": "gzip"})


def plotly_script() -> Path:
    """Raises Unavailable when plotly is not installed."""
    # Without importing it, which takes half a second and 30 MB.
    spec = importlib.util.find_spec("plotly")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise Unavailable("the page needs plotly: pip install 'hip3-tasks[web]'")
    return Path(next(iter(folders))) / "package_data" / "plotly.min.js"


@cache
def plotly_gzipped() -> bytes:
    return gzip.compress(plotly_script().read_bytes(), 6, mtime=0)
