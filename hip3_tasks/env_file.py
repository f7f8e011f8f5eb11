"""The file `.env` as names and values. python-dotenv alone skips a line that it cannot parse, without a warning."""

import io
import re
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from hip3_tasks.errors import BadSetting

_SETTING = re.compile(r"\s*(?:export\s+)?(HIP3_[A-Z0-9_]+)")
_LINE_END = re.compile(r"\r\n|\n|\r")


def env_file_values(path: Path) -> dict[str, str]:
    """Each NAME=VALUE of the file; empty where there is no file. Raises BadSetting if any line cannot be parsed."""
    text = _text(path)
    if lines := bad_lines(text):
        (number, setting), *others = lines
        was = f", was {setting} ..." if setting else ""
        more = f" (and {len(others)} more)" if others else ""
        raise BadSetting(f"{path} line {number}: expected NAME=VALUE{was}{more}")
    values = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def bad_lines(text: str) -> list[tuple[int, str]]:
    """Lines that are not NAME=VALUE: their numbers, and the setting each begins with or "". The rest may be secret.

    A name without a value is an error only for a setting: Docker Compose reads the file too, and allows such lines.
    """
    lines = []
    for binding in parse_stream(io.StringIO(text)):
        statement = binding.original.string
        setting = _SETTING.match(statement)
        if binding.error or (binding.value is None and setting):
            blank = statement[: len(statement) - len(statement.lstrip())]
            number = binding.original.line + len(_LINE_END.findall(blank))
            lines.append((number, setting[1] if setting else ""))
    return lines


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BadSetting(f"{path}: expected a file that can be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise BadSetting(f"{path} line {number}: expected text in UTF-8") from None
