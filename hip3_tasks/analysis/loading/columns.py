"""The records of the data files as columns: every field of a line, under its name, with its type."""

from functools import cache
from typing import Any

import polars as pl

from hip3_tasks.domain.records import Record

ROW_GROUP_ROWS = 131_072
"""Rows of a row group of a compacted day. Half as many or twice as many take 5 % more."""
_TYPES = {"integer": pl.Int64(), "number": pl.Float64(), "string": pl.String()}


@cache
def columns_of(record: type[Record]) -> dict[str, pl.DataType]:
    """The column types of a kind of record, in the order of the fields of its lines."""
    schema = record.model_json_schema()
    return {name: _type(field, schema.get("$defs", {})) for name, field in schema["properties"].items()}


def _type(field: dict[str, Any], defs: dict[str, Any]) -> pl.DataType:
    if "$ref" in field:
        return _type(defs[field["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in field:
        (option,) = (option for option in field["anyOf"] if option.get("type") != "null")
        return _type(option, defs)
    if field["type"] == "array":
        return pl.List(_type(field["items"], defs))
    return _TYPES[field["type"]]
