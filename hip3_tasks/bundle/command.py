"""`hip3 bundle`: packs what a report about a problem needs into one file."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from hip3_tasks.bundle.parts import parts, probes, without_secrets
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import utc_day
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import day_of
from hip3_tasks.settings import Settings
from hip3_tasks.terminal_text import counted, printable


def bundle_command(chosen: Settings, *, out: Path | None, with_data: bool) -> int:
    """Write the bundle, and name what is not inside; 1 when a part could not be had.

    Raises Unavailable when the file exists.
    """
    now_ms = wall_ms()
    path = out or Path(f"hip3-bundle_{utc_day(now_ms)}.tar.gz")
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Unavailable(f"{path} exists; name another file with --out") from None
    try:
        with os.fdopen(file, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            absent = Bundle(archive, chosen, at_ms=now_ms).fill(with_data=with_data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    for reason in absent:
        print(f"not inside: {printable(reason)}")
    print(_content(with_data=with_data))
    print(f"written to {path}, {counted(path.stat().st_size, 'byte')}; read it before you send it")
    return 1 if absent else 0


def _content(*, with_data: bool) -> str:
    if with_data:
        return "the data files are inside: all signals, follow-ups and prices"
    return "no data files are inside; logs and refused frames may show single prices and signal ids. --data adds all"


class Bundle:
    """An archive that is being filled; all of its files are in one folder, and a MANIFEST lists them."""

    def __init__(self, archive: tarfile.TarFile, chosen: Settings, *, at_ms: int) -> None:
        self._archive, self._chosen, self._at_ms = archive, chosen, at_ms
        self._folder = f"hip3-bundle_{utc_day(at_ms)}"
        self._lines: list[str] = []

    def fill(self, *, with_data: bool) -> list[str]:
        """Add every part; return the reasons for those that are absent."""
        absent = []
        for name, read in parts(self._chosen).items():
            try:
                texts = read()
            except (Unavailable, OSError) as error:
                absent.append(f"{name}: {error}")
            else:
                self._add_all(texts)
        self._add_all(probes(Path(), self._chosen.data_dir))
        if with_data:
            for path in self._data_files():
                self._archive.add(path, f"{self._folder}/data/{path.name}", recursive=False)
                self._lines.append(f"data/{path.name}")
        lines = [*self._lines, *(f"not inside: {reason}" for reason in absent), _content(with_data=with_data), ""]
        self._add("MANIFEST", "\n".join(lines).encode())
        return absent

    def _data_files(self) -> Iterator[Path]:
        return (path for path in sorted(self._chosen.data_dir.glob("*")) if day_of(path.name) is not None)

    def _add_all(self, texts: dict[str, bytes]) -> None:
        for name, content in texts.items():
            clean = without_secrets(content, self._chosen)
            self._add(name, clean)
            self._lines.append(f"{name}  {counted(len(clean), 'byte')}")

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(f"{self._folder}/{name}")
        member.size, member.mtime = len(content), self._at_ms // 1000
        self._archive.addfile(member, io.BytesIO(content))
