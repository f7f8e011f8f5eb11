"""Paths in the models that commands print as JSON."""

from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer

PathText = Annotated[
    Path, PlainSerializer(lambda path: str(path).encode(errors="backslashreplace").decode(), return_type=str)
]
"""A path; in JSON, bytes of a name that are not UTF-8 are escaped as in Python."""
