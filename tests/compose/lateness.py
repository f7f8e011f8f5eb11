"""Quantiles of the lateness of captures."""

from collections.abc import Sequence

from hip3_tasks.domain.records import Followup


def quantiles_ms(records: Sequence[Followup]) -> dict[str, int]:
    late_ms = sorted(record.captured_at_ms - record.due_at_ms for record in records)
    return {"p50": late_ms[len(late_ms) // 2], "p99": late_ms[len(late_ms) * 99 // 100], "max": late_ms[-1]}


def shown(lateness: dict[str, int]) -> str:
    return ", ".join(f"{name} {late_ms} ms" for name, late_ms in lateness.items())
