"""The quality of the data: which files were read, and which of their lines were left out, for which reason."""

from collections.abc import Iterator

from pydantic import BaseModel

from hip3_tasks.files.path_text import PathText

MAX_NAMED_LINES = MAX_NAMED_COINS = 5


class FileQuality(BaseModel):
    """The quality of one file."""

    file: PathText
    kind: str
    rows: int
    """Valid rows within the selection."""
    broken: int = 0
    """Lines that are not a record of this kind, left out."""
    broken_lines: list[int] = []
    """Numbers, from 1, of the first MAX_NAMED_LINES broken lines."""
    gone: bool = False
    """The file was deleted or compacted before it was read."""
    torn_bytes: int = 0
    """Bytes after the last end of line: a line being written, or left by a crash until the next writer repairs it."""

    def warnings(self) -> Iterator[str]:
        if self.broken:
            more = ["..."] if self.broken > len(self.broken_lines) else []
            numbers = ", ".join([*map(str, self.broken_lines), *more])
            yield f"{self.file.name}: {self.broken:,} broken lines left out (line {numbers})"
        if self.torn_bytes:
            yield f"{self.file.name}: {self.torn_bytes:,} bytes left out of a line that is being written"
        if self.gone:
            yield f"{self.file.name}: deleted or compacted while it was read; run this again"


class DataQuality(BaseModel):
    """The quality of all files that were read."""

    dirs: list[PathText]
    files: list[FileQuality] = []
    unread: list[str] = []
    """A sentence for each directory with files that look like data and are not read."""
    duplicates: dict[str, int] = {}
    """Lines left out by kind: further ones of the same signal, or of the same signal and offset."""
    watched: list[str] | None = None
    """Coins that the feed followed and heard, as its files say; None if they do not."""
    never_heard: list[str] = []
    """Coins that it followed, and that no line of its files notes as heard."""
    absent_coins: dict[str, str | None] = {}
    """Selected coins without any record, each with the coin that may have been meant."""

    @property
    def broken(self) -> int:
        return sum(file.broken for file in self.files)

    def add_duplicates(self, kind: str, number: int) -> None:
        self.duplicates[kind] = self.duplicates.get(kind, 0) + number

    def sentences(self) -> list[str]:
        """All that a reader of the numbers must know about the data."""
        warnings = [text for file in self.files for text in file.warnings()]
        repeated = [f"{number:,} repeated lines of {kind} left out" for kind, number in self.duplicates.items()]
        return [*self.unread, *warnings, *repeated, *self.absences(), *self._silences()]

    def absences(self) -> list[str]:
        """A sentence for each selected coin that has no record."""
        return [self._absence(coin, meant) for coin, meant in self.absent_coins.items()]

    def _silences(self) -> Iterator[str]:
        if self.never_heard:
            more = ["..."] if len(self.never_heard) > MAX_NAMED_COINS else []
            names = ", ".join([*self.never_heard[:MAX_NAMED_COINS], *more])
            yield f"{len(self.never_heard):,} followed markets were never noted as heard: {names}"

    def _absence(self, coin: str, meant: str | None) -> str:
        if coin in (*(self.watched or ()), *self.never_heard):
            return f"{coin}: the selection has no signal of it, though the feed followed it"
        return f"{coin}: the selection has no signal of it" + (f"; did you mean {meant}?" if meant else "")
