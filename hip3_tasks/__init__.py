"""Exactly-once, exactly-timed follow-ups to dislocations on Hyperliquid's HIP-3 markets."""

__version__ = "0.1.0"
