"""The result of a capture, as the journal and the capturer return it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from hip3_tasks.domain.records import Followup, Missed, MissedReason


class CaptureStatus(StrEnum):
    CAPTURED = "captured"
    MISSED = "missed"
    ALREADY_CAPTURED = "already captured"
    ALREADY_MISSED = "already missed"
    DAY_CLOSED = "day closed"
    PENDING = "left pending: the tape is not complete at its due time yet"


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """The status of a capture; its text is what Flower and `celery call` show."""

    status: CaptureStatus
    reason: MissedReason | None = None
    """Why it was missed; None for other statuses, and for a missed line that does not decode."""

    @classmethod
    def from_record(cls, record: Followup | Missed, *, already: bool = False) -> Self:
        """The result of appending a record, or of finding it there `already`."""
        if isinstance(record, Missed):
            return cls(CaptureStatus.ALREADY_MISSED if already else CaptureStatus.MISSED, record.reason)
        return cls(CaptureStatus.ALREADY_CAPTURED if already else CaptureStatus.CAPTURED)

    @property
    def is_final(self) -> bool:
        """Whether the capture needs no further try."""
        return self.status is not CaptureStatus.PENDING

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}" if self.reason else f"{self.status}"


DAY_CLOSED = CaptureResult(CaptureStatus.DAY_CLOSED)
PENDING = CaptureResult(CaptureStatus.PENDING)
