"""Paths in the models that commands print as JSON."""

from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer


def _json_text(path: Path) -> str:
    return str(path).encode(errors="backslashreplace").decode()


PathText = Annotated[Path, PlainSerializer(_json_text, return_type=str)]
"""A path; in JSON, bytes of a name that are not UTF-8 are escaped as in Python."""
