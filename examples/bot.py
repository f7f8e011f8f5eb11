"""A bot that goes on where it ended: python examples/bot.py DIR CURSOR. It prints what a trader would order."""

import sys
from pathlib import Path

from hip3_tasks.client import follow
from hip3_tasks.domain.records import Followup, Missed, Signal

MIN_NET_EDGE_BPS = 2.0


def word(record: Signal | Followup | Missed) -> str | None:
    """The bot's word on a record: an order, or what became of the edge that it was for."""
    match record:
        case Signal(net_edge_bps=net_bps) if net_bps >= MIN_NET_EDGE_BPS:
            return f"{record.signal_id} {record.side} at {record.best_px}, {net_bps:+.1f} bps net"
        case Followup():
            return f"{record.signal_id} +{record.offset_ms} ms: the edge is {record.raw_edge_bps:+.1f} bps"
        case Missed():
            return f"{record.signal_id} +{record.offset_ms} ms: {record.reason}"
    return None


def main(data_dir: Path, cursor: Path) -> None:
    for record in follow(data_dir, cursor=cursor):
        if text := word(record):
            print(text, flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
