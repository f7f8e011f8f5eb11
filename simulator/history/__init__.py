"""Synthetic histories like the published live run, with known true values.

python -m simulator.history DIR            # 4,402,100 signals in 48.4 h, 32 markets
frames(replace(SMALL, seed=7))              # 6,000 signals as frames
truths(SMALL)["xyz:TSLA"].markout_bps       # expected markout by offset
truths(SMALL)["xyz:TSLA"].round_trip_bps    # expected round trip of an order that is had, by offset of the way out
"""

from simulator.history.effects import MarketKind
from simulator.history.files import write
from simulator.history.frames import Frames, frames
from simulator.history.markets import PlantedMarket, truths
from simulator.history.plan import SMALL, HistoryPlan

__all__ = ["SMALL", "Frames", "HistoryPlan", "MarketKind", "PlantedMarket", "frames", "truths", "write"]
