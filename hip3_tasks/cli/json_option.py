"""Support for `hip3 report --json FILE` of release 0.1.0: `--json` is a flag now, and the file is `--json-out FILE`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from hip3_tasks.terminal_text import printable

FLAG, OPTION = "--json", "--json-out"


class JsonCommand(TyperCommand):
    """A command with both options that still accepts the older form, and prints a notice."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words, file = with_json_out(args, is_dir=lambda word: Path(word).is_dir())
        if file is not None:
            print(f"hip3: {FLAG} FILE is now {OPTION} FILE: {printable(file)} is taken for a file", file=sys.stderr)
        return super().parse_args(ctx, words)


def with_json_out(words: Sequence[str], *, is_dir: Callable[[str], bool]) -> tuple[list[str], str | None]:
    """Replace `--json FILE` by `--json-out FILE`; return the words and the file. A directory is no such file.

    `--json -` is `--json`.
    """
    result: list[str] = []
    file = None
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*result, word, *rest], file
        result.append(word)
        if word.startswith(f"{FLAG}="):
            file = word.removeprefix(f"{FLAG}=")
            result[-1:] = [OPTION, file]
        elif result[-2:] == [FLAG, "-"]:
            result.pop()
        elif result[-2:-1] == [FLAG] and not word.startswith("-") and not is_dir(word):
            file = word
            result[-2:] = [OPTION, file]
    return result, file
