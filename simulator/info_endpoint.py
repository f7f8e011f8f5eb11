"""`BASE/info` over HTTP: the venue's statuses, and the weight that each request costs its address."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from simulator.faults.active import ActiveFaults
from simulator.info import answer
from simulator.info.answer import BAD_CONTENT_TYPE, BAD_JSON, TOO_MANY_REQUESTS, InfoAnswer
from simulator.info.weights import surcharge, weight
from simulator.limits import Usage
from simulator.venue_data import VenueData


class InfoEndpoint:
    """Answers POST requests; `requests` counts them by type."""

    def __init__(
        self, data: VenueData, faults: ActiveFaults, *, usage: Mapping[str, Usage], violations: Counter[str]
    ) -> None:
        self.requests: Counter[str] = Counter()
        self._data = data
        self._faults = faults
        self._usage = usage
        self._violations = violations

    async def on_request(self, request: web.Request) -> web.Response:
        reply = await self._reply(request)
        return web.Response(status=reply.status, body=reply.encoded(), content_type=reply.content_type)

    async def _reply(self, request: web.Request) -> InfoAnswer:
        if request.content_type != "application/json":
            return BAD_CONTENT_TYPE
        try:
            question: Any = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            return BAD_JSON
        kind = str(question.get("type")) if isinstance(question, dict) else ""
        self.requests[kind] += 1
        usage, at_s = self._usage[request.remote or ""], asyncio.get_running_loop().time()
        if exceeded := usage.take_info_weight(weight(kind), at_s=at_s):
            self._violations[exceeded] += 1
            return TOO_MANY_REQUESTS
        reply = self._answer(question)
        usage.add_info_weight(surcharge(kind, reply.body), at_s=at_s)
        return reply

    def _answer(self, question: Any) -> InfoAnswer:
        now_ms = self._data.state_time_ms(time.time_ns() // 1_000_000)
        if not self._faults.switches or not isinstance(question, dict):
            return answer(question, self._data, now_ms=now_ms)
        data = self._data.shown_as(self._faults.universe(self._data.universe))
        shifted_ms = self._faults.block_time_ms(str(question.get("coin")), now_ms)
        right = answer(question, data, now_ms=shifted_ms)
        return self._faults.answer(question, right, data.universe)
