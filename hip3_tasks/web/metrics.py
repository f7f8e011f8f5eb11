"""`/metrics`: the system status and the counts, in the text format of Prometheus."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from hip3_tasks.status.lateness_histogram import LatenessHistogram
from hip3_tasks.status.line_counts import LineCounts
from hip3_tasks.status.redis_snapshot import Gauge
from hip3_tasks.status.system_status import SystemStatus
from hip3_tasks.store.market_facts import dark_kind
from hip3_tasks.web.event_stream import Broadcast

BUCKETS_MS = (2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000)
MAX_KINDS = 12
TYPE = CONTENT_TYPE_LATEST


class Metrics(Collector):
    """Counters begin with the page's process, frames and reconnects with the feed's."""

    def __init__(self, broadcast: Broadcast, totals: LineCounts) -> None:
        self._broadcast, self._totals = broadcast, totals
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield from self._outcomes()
        yield from self._status()
        yield GaugeMetricFamily("hip3_page_viewers", "Browsers that watch.", value=self._broadcast.viewers)

    def _outcomes(self) -> Iterator[Metric]:
        totals = self._totals
        yield CounterMetricFamily("hip3_signals", "Signals written.", value=totals.signals)
        outcomes = CounterMetricFamily("hip3_captures", "Captures on disk, by outcome.", labels=["outcome"])
        outcomes.add_metric(["captured"], totals.followups)
        for reason, count in sorted(totals.missed_by_reason.items()):
            outcomes.add_metric([reason], count)
        yield outcomes
        late = HistogramMetricFamily(
            "hip3_lateness_seconds", "captured_at_ms - due_at_ms, by offset.", labels=["offset_ms"]
        )
        for offset_ms, lateness in sorted(totals.lateness_by_offset_ms.items()):
            late.add_metric([str(offset_ms)], buckets=_buckets(lateness), sum_value=lateness.total_ms / 1000)
        yield late

    def _status(self) -> Iterator[Metric]:
        state = self._broadcast.state
        status = state.pipeline if state else None
        yield GaugeMetricFamily("hip3_up", "1 if health is not red.", value=int(self._broadcast.is_well))
        if status is None:
            return
        for name, field in SystemStatus.model_fields.items():
            value = getattr(status, name)
            for gauge in field.metadata:
                if isinstance(gauge, Gauge) and value is not None:
                    yield GaugeMetricFamily(gauge.metric(name), gauge.text, value=value / gauge.per_unit)
        processes = sum(worker.processes for worker in status.workers)
        yield GaugeMetricFamily("hip3_worker_processes", "Pool processes of the workers.", value=processes)
        yield GaugeMetricFamily("hip3_workers", "Workers that reported.", value=len(status.workers))
        if status.reconnects is not None:
            yield CounterMetricFamily("hip3_reconnects", "Connections made again.", value=status.reconnects)
        if status.dark is not None:
            kinds = Counter(dark_kind(market.cause) for market in status.dark)
            dark = GaugeMetricFamily("hip3_markets_dark", "Markets that are not live, by kind.", labels=["kind"])
            for kind, count in kinds.most_common(MAX_KINDS):
                dark.add_metric([kind], count)
            yield dark
        frames = CounterMetricFamily("hip3_frames", "Frames from the venue, by kind.", labels=["kind"])
        for kind, count in sorted(status.frames.items()):
            frames.add_metric([kind], count)
        yield frames


def _buckets(lateness: LatenessHistogram) -> list[tuple[str, float]]:
    bounded = [(f"{bound_ms / 1000:g}", float(lateness.at_most(bound_ms))) for bound_ms in BUCKETS_MS]
    return [*bounded, ("+Inf", float(lateness.count))]
