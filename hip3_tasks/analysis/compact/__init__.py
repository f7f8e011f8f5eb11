"""Finished days as Parquet."""
