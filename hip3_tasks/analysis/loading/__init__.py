"""Lines and Parquet as polars frames."""
