"""The sums of finished days, kept beside their Parquet, so that a report need not read their records again."""
