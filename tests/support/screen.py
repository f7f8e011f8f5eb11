"""A small model of a terminal: its text, and the text scrolled off, after some output."""

import re

from rich.cells import cell_len

TOKEN = re.compile(r"\x1b\[(?P<parameters>[?0-9;]*)(?P<command>[A-Za-z])|(?P<char>.)", re.DOTALL)


class Screen:
    """Understands text, line feeds, carriage returns, cursor up and erased lines; ignores colours."""

    def __init__(self, *, width: int, height: int) -> None:
        self.width, self._height = width, height
        self._above: list[str] = []
        self._rows = [""] * height
        self._row = self._column = 0

    def write(self, written: str) -> None:
        for token in TOKEN.finditer(written):
            if token["char"]:
                self._put(token["char"])
            else:
                self._obey(token["command"], token["parameters"])

    @property
    def lines(self) -> list[str]:
        """All lines, also those scrolled off, without the empty lines at the end."""
        return "\n".join(line.rstrip() for line in [*self._above, *self._rows]).rstrip().split("\n")

    def _put(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._feed()
        elif char.isprintable():
            if self._column + cell_len(char) > self.width:
                # Only now, because a terminal wraps when one more character comes.
                self._column = 0
                self._feed()
            row = self._rows[self._row].ljust(self._column)
            self._rows[self._row] = row[: self._column] + char + row[self._column + 1 :]
            self._column += cell_len(char)

    def _obey(self, command: str, parameters: str) -> None:
        if command == "A":
            self._row = max(self._row - int(parameters or 1), 0)
            self._column = min(self._column, self.width - 1)
        elif command == "K":
            assert parameters == "2", "only whole lines are erased"
            self._rows[self._row] = ""
        else:
            assert command in "mhl", f"the model has no {command}"

    def _feed(self) -> None:
        if self._row < self._height - 1:
            self._row += 1
        else:
            self._above.append(self._rows.pop(0))
            self._rows.append("")
