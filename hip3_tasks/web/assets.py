"""The files that a browser loads once: our page, style and script, and plotly's script as it is installed."""

import gzip
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from hip3_tasks.errors import Unavailable

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
ZIPPED_FROM_BYTES = 1_000


def plotly_script() -> Path:
    """Raises Unavailable when plotly is not installed."""
    # Without importing it, which takes half a second and 30 MB.
    found = importlib.util.find_spec("plotly")
    places = found.submodule_search_locations if found else None
    if not places:
        raise Unavailable("the page needs plotly: pip install 'hip3-tasks[web]'")
    return Path(next(iter(places))) / "package_data" / "plotly.min.js"


class Asset:
    """A file, kept zipped: plain it is asked for by hand only."""

    def __init__(self, path: Path) -> None:
        plain = path.read_bytes()
        self._path, self._type = path, TYPES[path.suffix]
        self._zipped = gzip.compress(plain, 6, mtime=0) if len(plain) > ZIPPED_FROM_BYTES else b""
        self._tag = f'"{hashlib.sha256(plain).hexdigest()[:20]}"'

    def answer(self, request: Request) -> Response:
        # Asked for again each time, and answered by its tag: a new version must not meet an old page.
        headers = {"etag": self._tag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if self._tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if self._zipped and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self._zipped, media_type=self._type, headers=headers | {"content-encoding": "gzip"})
        return Response(self._path.read_bytes(), media_type=self._type, headers=headers)


@cache
def _asset(path: Path) -> Asset:
    return Asset(path)


def prepare() -> None:
    """Have what takes long to make."""
    _asset(plotly_script())


def page(request: Request) -> Response:
    return _asset(STATIC / "index.html").answer(request)


def static(request: Request) -> Response:
    """One of ours, or plotly's."""
    name = request.path_params["name"]
    if name == "plotly.js":
        return _asset(plotly_script()).answer(request)
    path = _ours().get(name)
    return _asset(path).answer(request) if path else PlainTextResponse("no such file\n", 404)


@cache
def _ours() -> dict[str, Path]:
    return {path.name: path for path in STATIC.iterdir() if path.suffix in (".css", ".js")}
