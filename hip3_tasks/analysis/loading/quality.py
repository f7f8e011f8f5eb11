"""What was read, and what was wrong with it."""

from pathlib import Path

from pydantic import BaseModel

NAMED_MOST = 5


class FileNote(BaseModel):
    """One file."""

    file: Path
    kind: str
    rows: int
    """That were in order and asked for."""
    broken: int = 0
    """Lines that are none of this kind's records, left out."""
    broken_lines: list[int] = []
    """The first of them, from 1."""
    gone: bool = False
    """Deleted, or compacted, before it was read."""
    torn_bytes: int = 0
    """At its end, without an end of line: being written just now, or left by a crash and mended by the next writer."""


class Notes(BaseModel):
    """All files that were read."""

    dirs: list[Path]
    files: list[FileNote] = []
    duplicates: dict[str, int] = {}
    """By kind: further lines of the same signal, or of the same signal and offset, left out."""
    watched: list[str] | None = None
    """Coins that were followed meanwhile, as far as it was noted; None: not at all."""
    absent_coins: dict[str, str | None] = {}
    """Coins that were asked for and have no record here, each with the one that may have been meant."""

    @property
    def broken(self) -> int:
        return sum(note.broken for note in self.files)

    def add_duplicates(self, kind: str, number: int) -> None:
        self.duplicates[kind] = self.duplicates.get(kind, 0) + number

    def sentences(self) -> list[str]:
        """What a reader of the figures must know, if anything."""
        said = []
        for note in self.files:
            if note.broken:
                more = ["..."] if note.broken > len(note.broken_lines) else []
                lines = ", ".join([*map(str, note.broken_lines), *more])
                said.append(f"{note.file.name}: {note.broken:,} broken lines left out (line {lines})")
            if note.torn_bytes:
                said.append(f"{note.file.name}: {note.torn_bytes:,} bytes left out of a line that is being written")
            if note.gone:
                said.append(f"{note.file.name}: deleted or compacted meanwhile; run this again")
        for kind, number in self.duplicates.items():
            said.append(f"{number:,} further lines of {kind} that were there already left out")
        return said + self.absences()

    def absences(self) -> list[str]:
        """A sentence for each coin that was asked for and has no record."""
        watched = set(self.watched or ())
        return [
            f"{coin}: there is no signal of it in what was asked for"
            + (", though it was watched" if coin in watched else f"; did you mean {meant}?" if meant else "")
            for coin, meant in self.absent_coins.items()
        ]
