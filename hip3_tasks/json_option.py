"""`hip3 report --json FILE`, as it was before `--json` became a flag: the file is `--json-out FILE` now."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from hip3_tasks.terminal_text import printable

FLAG, OPTION = "--json", "--json-out"


class JsonCommand(TyperCommand):
    """A command with both options, which understands the older use of the flag and says so."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words, file = with_json_out(args, is_dir=lambda word: Path(word).is_dir())
        if file is not None:
            print(f"hip3: {FLAG} FILE is {OPTION} FILE now: {printable(file)} is taken for a file", file=sys.stderr)
        return super().parse_args(ctx, words)


def with_json_out(words: Sequence[str], *, is_dir: Callable[[str], bool]) -> tuple[list[str], str | None]:
    """The words with `--json FILE` as `--json-out FILE`, and that file. A directory after the flag is none."""
    found: list[str] = []
    file = None
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*found, word, *rest], file
        found.append(word)
        if word.startswith(f"{FLAG}="):
            file = word.removeprefix(f"{FLAG}=")
            found[-1:] = [OPTION, file]
        elif found[-2:-1] == [FLAG] and not word.startswith("-") and not is_dir(word):
            file = word
            found[-2:] = [OPTION, file]
    return found, file
