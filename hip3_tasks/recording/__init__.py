"""The kept tape: recorded from Redis into Parquet, loaded as frames, replayed, and compared with what was captured."""
