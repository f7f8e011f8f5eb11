"""Faults of books and of the block times that books carry."""

from collections import deque

from simulator.faults.fault import FrameData, Moment, VenueFault

OLD_BLOCKS_MS = 420_000
FUTURE_BLOCKS_MS = 60_000
OLDER_FRAMES = 3
FRAMES_PER_OLDER_ONE = 5


def _unreadable(data: FrameData, _: Moment) -> FrameData:
    return data | {"bbo": [level and level | {"px": "n/a"} for level in data["bbo"]]}


def _exponents(data: FrameData, _: Moment) -> FrameData:
    return data | {"bbo": [level and level | {"px": f"{float(level['px']):.6e}"} for level in data["bbo"]]}


def _first_only(data: FrameData, moment: Moment) -> FrameData | None:
    return data if moment.memory.setdefault(moment.coin, data) is data else None


def _older_state(data: FrameData, moment: Moment) -> FrameData:
    """Send every fifth frame with the book and the time of three frames ago, as a node does that is behind."""
    frames = moment.memory.setdefault(moment.coin, deque(maxlen=OLDER_FRAMES + 1))
    counts = moment.memory.setdefault("counts", {})
    counts[moment.coin] = counts.get(moment.coin, 0) + 1
    frames.append(data)
    return dict(frames[0]) if counts[moment.coin] % FRAMES_PER_OLDER_ONE == 0 else data


BOOK_FAULTS = (
    VenueFault(name="bad-bbo", text="prices of books are no numbers", bbo=_unreadable),
    VenueFault(name="exponent-bbo", text="prices of books are written as 1.000200e+02", bbo=_exponents),
    VenueFault(name="frozen-bbo", text="one more book comes, then none; contexts go on", bbo=_first_only),
    VenueFault(name="old-blocks", text="block times are 420 s old", block_time_shift_ms=-OLD_BLOCKS_MS),
    VenueFault(name="future-blocks", text="block times are 60 s ahead", block_time_shift_ms=FUTURE_BLOCKS_MS),
    VenueFault(
        name="blocks-go-back", text="every fifth book is an earlier one, with its earlier block time", bbo=_older_state
    ),
)
