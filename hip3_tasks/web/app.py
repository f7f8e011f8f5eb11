"""The page's routes. All only read, except `/api/recapture`, which does what `hip3 recapture` does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import orjson
import redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route

from hip3_tasks.domain.edge import Side
from hip3_tasks.errors import BadCapture, MalformedEntry, Unavailable, UnknownSignal
from hip3_tasks.recapture.recapture import MAX_QUEUED, recapture
from hip3_tasks.settings import Settings
from hip3_tasks.status.trips import Taker
from hip3_tasks.web.access import AccessControl
from hip3_tasks.web.assets import Assets, plotly_gzipped
from hip3_tasks.web.decay_cache import DecayCache
from hip3_tasks.web.event_stream import Broadcast, to_json
from hip3_tasks.web.figures import signal_figure
from hip3_tasks.web.file_feed import FileFeed
from hip3_tasks.web.metrics import TYPE, Metrics
from hip3_tasks.web.poller import Poller
from hip3_tasks.web.recent_signals import SignalRow
from hip3_tasks.web.system_locator import SystemLocator

MAX_BODY_BYTES = 1_000
BEFORE_MS, AFTER_MS = 5_000, 2_000
"""The time before a signal, and after its last horizon, for which its figure shows prices."""
MAX_ENTRIES = 5_000


class Page:
    """The page of one system."""

    def __init__(self, settings: Settings) -> None:
        self.broadcast = Broadcast()
        self._settings, self._files = settings, FileFeed(settings.data_dir, Taker.from_settings(settings))
        self._locator = SystemLocator(settings)
        self._assets = Assets()
        self._decay_cache = DecayCache(self._files)
        self._poller = Poller(self._locator, self._files, self._decay_cache)
        self._metrics = Metrics(self.broadcast, self._files.totals)

    def app(self) -> Starlette:
        get: dict[str, Callable[[Request], Any]] = {
            "/": self._assets.page,
            "/static/plotly.js": self._assets.plotly,
            "/events": self.events,
            "/api/state": self.state,
            "/api/signal": self.signal,
            "/api/decay": self.decay,
            "/metrics": self.metrics,
            "/healthz": self.healthz,
            "/livez": self.livez,
        }
        routes: list[BaseRoute] = [Route(path, answer, methods=["GET"]) for path, answer in get.items()]
        routes.append(Route("/api/recapture", self.recapture, methods=["POST"]))
        routes.append(Mount("/static", GZipMiddleware(self._assets)))
        guard = Middleware(AccessControl, password=self._settings.page_password, hosts=self._settings.page_hosts)
        return Starlette(routes=routes, middleware=[guard], lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        polling = asyncio.create_task(self._poller.run(self.broadcast))
        preparing = asyncio.create_task(asyncio.to_thread(plotly_gzipped))
        yield
        polling.cancel()
        await asyncio.gather(polling, preparing, return_exceptions=True)

    async def events(self, _: Request) -> Response:
        # The header keeps a proxy from buffering the stream.
        return StreamingResponse(
            self.broadcast.events(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    async def state(self, _: Request) -> Response:
        return Response(self.broadcast.document(), media_type="application/json")

    async def signal(self, request: Request) -> Response:
        row = self._files.recent_signals.find(request.query_params.get("id", ""))
        if row is None:
            return _json({"error": "the page has only the last 2,000 signals"}, 404)
        return _json(await asyncio.to_thread(self._signal_detail, row))

    async def decay(self, request: Request) -> Response:
        coin, side = request.query_params.get("coin") or None, request.query_params.get("side") or None
        if side not in (None, *Side):
            return _json({"error": "side: expected buy or sell"}, 400)
        return _json(await self._decay_cache.document(coin, Side(side) if side else None))

    async def metrics(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type=TYPE)

    async def healthz(self, _: Request) -> Response:
        """503 if health is red or the last state is too old."""
        return PlainTextResponse("ok\n", 200) if self.broadcast.is_well else PlainTextResponse("red\n", 503)

    async def livez(self, _: Request) -> Response:
        """503 if this process publishes no state, whatever the state says."""
        if self.broadcast.is_live:
            return PlainTextResponse("ok\n", 200)
        return PlainTextResponse("stalled\n" if self.broadcast.state else "starting\n", 503)

    async def recapture(self, request: Request) -> Response:
        try:
            signal_id = orjson.loads(await _body(request))["signal_id"]
        except (ValueError, TypeError, KeyError):
            return _json({"error": 'expected {"signal_id": "DEX:COIN-MILLISECONDS"}'}, 400)
        try:
            offsets_ms = await asyncio.to_thread(self._recapture, signal_id)
        except (BadCapture, UnknownSignal) as error:
            return _json({"error": str(error)}, 404)
        except (redis.RedisError, Unavailable) as error:
            return _json({"error": str(error)}, 503)
        return _json({"queued_ms": offsets_ms})

    def _signal_detail(self, row: SignalRow) -> dict[str, Any]:
        """One signal in full; if the tape has no prices for a figure, the reason is in `why_no_figure`."""
        tasks = [f"{row.signal_id}:{cell.offset_ms}" for cell in row.cells]
        flower = self._locator.flower_url
        links = [f"{flower}/task/{quote(task, safe='')}" for task in tasks] if flower else []
        try:
            figure = self._signal_figure(row)
            why = None if figure else "the tape no longer has the prices around it"
        except (redis.RedisError, Unavailable, MalformedEntry) as error:
            figure, why = None, str(error)
        return {"signal": row, "tasks": tasks, "links": links, "figure": figure, "why_no_figure": why}

    def _signal_figure(self, row: SignalRow) -> dict[str, Any] | None:
        from_ms = row.at_ms - BEFORE_MS
        until_ms = row.at_ms + max((cell.offset_ms for cell in row.cells), default=0) + AFTER_MS
        tape = self._locator.store.tape
        watermark_ms = tape.watermark_ms()
        entries = tape.between(row.coin, from_ms, until_ms, most=MAX_ENTRIES)
        if watermark_ms is None or not entries:
            return None
        return signal_figure(row, entries, from_ms=from_ms, until_ms=min(until_ms, watermark_ms))

    def _recapture(self, signal_id: str) -> list[int]:
        store = self._locator.store
        if store.queue_length() > MAX_QUEUED:
            raise Unavailable("too many captures are queued already; try again")
        return list(recapture(signal_id, data_dir=self._settings.data_dir, store=store).offsets_ms)


async def _body(request: Request) -> bytes:
    """Raises ValueError for a body longer than MAX_BODY_BYTES."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ValueError("too long")
    return bytes(body)


def _json(document: Any, status: int = 200) -> Response:
    return Response(to_json(document), status, media_type="application/json")
