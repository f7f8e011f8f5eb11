"""`/metrics`: the snapshot and the growing counts as Prometheus has it."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from hip3_tasks.status.lateness_histogram import LatenessHistogram
from hip3_tasks.status.line_counts import LineCounts
from hip3_tasks.web.event_stream import Broadcast

BUCKETS_MS = (2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000)
TYPE = CONTENT_TYPE_LATEST


class Metrics(Collector):
    """Counters run from the start of the page's process, the feed's own from the feed's."""

    def __init__(self, broadcast: Broadcast, totals: LineCounts) -> None:
        self._broadcast, self._totals = broadcast, totals
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield from self._outcomes()
        yield from self._pipeline()
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

    def _pipeline(self) -> Iterator[Metric]:
        state = self._broadcast.state
        pipeline = state.pipeline if state else None
        yield GaugeMetricFamily("hip3_up", "1 when health is not red.", value=int(self._broadcast.is_well))
        if pipeline is None:
            return
        gauges = {
            "hip3_pending": ("Captures not yet on disk.", pipeline.pending),
            "hip3_overdue": ("Captures whose own task has not done them.", pipeline.overdue),
            "hip3_queued": ("Tasks that no worker has taken in.", pipeline.queued),
            "hip3_quarantined": ("Messages put aside.", pipeline.quarantined),
            "hip3_watermark_age_seconds": ("Age of the watermark.", _seconds(pipeline.watermark_age_ms)),
            "hip3_markets_live": ("Markets whose state is known.", pipeline.markets_live),
            "hip3_markets_followed": ("Markets that are subscribed.", pipeline.markets_followed),
            "hip3_sockets": ("Connections to the venue that bring data.", pipeline.sockets),
            "hip3_redis_memory_bytes": ("What Redis uses.", pipeline.server_bytes),
            "hip3_worker_processes": ("Pool processes.", sum(worker.processes for worker in pipeline.workers)),
            "hip3_workers": ("Workers whose heart beats.", len(pipeline.workers)),
        }
        for name, (words, value) in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(name, words, value=value)
        if pipeline.reconnects is not None:
            yield CounterMetricFamily("hip3_reconnects", "Connections made again.", value=pipeline.reconnects)
        frames = CounterMetricFamily("hip3_frames", "Frames from the venue, by kind.", labels=["kind"])
        for kind, count in sorted(pipeline.frames.items()):
            frames.add_metric([kind], count)
        yield frames


def _buckets(lateness: LatenessHistogram) -> list[tuple[str, float]]:
    bounded = [(f"{bound_ms / 1000:g}", float(lateness.at_most(bound_ms))) for bound_ms in BUCKETS_MS]
    return [*bounded, ("+Inf", float(lateness.count))]


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
