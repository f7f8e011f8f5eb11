"""The kept tape: recorded from Redis into Parquet, replayed, and compared with what was captured."""
