"""`hip3 bundle`: packs what a report about a problem needs into one file.

Each part is read on its own: one that cannot be had costs no other part.
"""

import io
import json
import os
import platform
import tarfile
from collections import deque
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

import redis

from hip3_tasks.audit.audit import audit_day
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import utc_day
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import day_of, days_of
from hip3_tasks.files.raw_file import ENDING, raw_tail
from hip3_tasks.run_file import located, log_dir
from hip3_tasks.settings import SECRETS, Settings
from hip3_tasks.status.command import REDIS_TIMEOUT_S, read_view, status_json
from hip3_tasks.store.redis_url import place
from hip3_tasks.store.store import Store, unavailable
from hip3_tasks.terminal_text import counted, printable

MAX_LOG_BYTES = 2_000_000
MAX_REFUSED = 1_000
REFUSED_EVENTS = (b'"malformed_frame"', b'"venue_error"')
MAX_AUDIT_BYTES = 200_000_000
"""The lines of a day that are audited: some ten seconds."""
MAX_PROBES, MAX_PROBE_BYTES = 5, 5_000_000
MAX_RAW_BYTES, RAW_TAIL = 2_000_000, f"frames{ENDING}"
"""The last frames as received: of all live markets of xyz, some twenty seconds."""
HIDDEN = "***"
DATA_INSIDE = "the data files are inside: all signals, follow-ups and prices"
NO_DATA_INSIDE = "no data files are inside; logs and frames may show single prices and signal ids. --data adds all"

Texts = dict[str, bytes]
"""File name → content."""


def bundle_command(chosen: Settings, *, out: Path | None, with_data: bool) -> int:
    """Write the bundle, and name what is not inside; 1 when a part could not be had.

    Raises Unavailable when the file exists.
    """
    now_ms = wall_ms()
    folder = f"hip3-bundle_{utc_day(now_ms)}"
    path = out or Path(f"{folder}.tar.gz")
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Unavailable(f"{path} exists; name another file with --out") from None
    try:
        with os.fdopen(file, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            notes = _fill(archive, folder, chosen, with_data=with_data, at_ms=now_ms)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    print(*map(printable, notes), sep="\n")
    print(f"written to {path}, {counted(path.stat().st_size, 'byte')}; read it before you send it")
    return int(len(notes) > 1)


def _fill(archive: tarfile.TarFile, folder: str, chosen: Settings, *, with_data: bool, at_ms: int) -> list[str]:
    """Add every part and a MANIFEST in one folder; return a line for each part that is absent, and one for the data."""
    notes, manifest, texts = list[str](), list[str](), Texts()
    for name, read in parts(chosen).items():
        try:
            texts |= read()
        except (Unavailable, OSError) as error:
            notes.append(f"not inside: {name}: {error}")

    def add(name: str, content: bytes) -> None:
        member = tarfile.TarInfo(f"{folder}/{name}")
        member.size, member.mtime = len(content), at_ms // 1000
        archive.addfile(member, io.BytesIO(content))

    for name, content in (texts | probes(Path(), chosen.data_dir)).items():
        clean = without_secrets(content, chosen)
        add(name, clean)
        manifest.append(f"{name}  {counted(len(clean), 'byte')}")
    if tail := raw_tail(chosen.data_dir, max_bytes=MAX_RAW_BYTES):
        add(RAW_TAIL, tail)  # packed, and it holds only what the venue sent
        manifest.append(f"{RAW_TAIL}  {counted(len(tail), 'byte')}")
    for path in sorted(chosen.data_dir.glob("*")) if with_data else ():
        if day_of(path.name) is not None:
            archive.add(path, f"{folder}/data/{path.name}", recursive=False)
            manifest.append(f"data/{path.name}")
    notes.append(DATA_INSIDE if with_data else NO_DATA_INSIDE)
    add("MANIFEST", "\n".join([*manifest, *notes, ""]).encode())
    return notes


def parts(chosen: Settings) -> dict[str, Callable[[], Texts]]:
    """Each part by name; reading it raises Unavailable with the reason when it cannot be had."""
    return {
        "settings": lambda: {"settings.json": _json(shown_settings(chosen))},
        "versions": lambda: {"versions.json": _json(_versions())},
        "Redis server": lambda: {"redis.json": _json(_server(chosen))},
        "status": lambda: {"status.json": status_json(read_view(chosen)).encode()},
        "logs": lambda: {f"logs/{path.name}": _tail(path) for path in _log_files(chosen.data_dir)},
        "refused frames": lambda: {"refused_frames.jsonl": b"".join(_refused(chosen.data_dir))},
        "audit": lambda: {"audit.json": _audit(chosen.data_dir)},
    }


def probes(*folders: Path) -> Texts:
    """The newest files of `hip3 probe` in some folders."""
    files = {path.name: path for folder in folders for path in sorted(folder.glob("probe_*.json"))}
    small = [path for path in files.values() if path.stat().st_size <= MAX_PROBE_BYTES]
    newest = sorted(small, key=lambda path: path.stat().st_mtime)[-MAX_PROBES:]
    return {path.name: path.read_bytes() for path in newest}


def shown_settings(chosen: Settings) -> dict[str, object]:
    """All settings; of Redis only the place, of a password only that there is one."""
    shown = chosen.model_dump(mode="json", exclude=set(SECRETS))
    server = chosen.redis_url and f"{urlsplit(chosen.redis_url).scheme}://{place(chosen.redis_url)}"
    return {**shown, "redis_url": server, "page_password": HIDDEN if chosen.page_password else None}


def without_secrets(content: bytes, chosen: Settings) -> bytes:
    """Replace every secret of the settings, in case a log of another program shows one."""
    password = urlsplit(chosen.redis_url or "").password or ""
    for secret in {chosen.page_password or "", password, unquote(password)} - {""}:
        content = content.replace(secret.encode(), HIDDEN.encode())
    return content


def _versions() -> dict[str, object]:
    packages = {distribution.name: distribution.version for distribution in distributions()}
    return {
        "hip3-tasks": packages.get("hip3-tasks"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": dict(sorted(packages.items())),
    }


def _server(chosen: Settings) -> dict[str, object]:
    try:
        return dict(Store.from_settings(located(chosen), timeout_s=REDIS_TIMEOUT_S).client.info("server"))
    except redis.RedisError as error:
        raise unavailable(error) from None


def _log_files(data_dir: Path) -> list[Path]:
    files = sorted(log_dir(data_dir).glob("*.log"))
    if not files:
        raise Unavailable(f"no *.log in {log_dir(data_dir)}, where `hip3 up` writes them; others log to their terminal")
    return files


def _tail(path: Path) -> bytes:
    """The last lines of a log."""
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - MAX_LOG_BYTES)
        file.seek(start)
        content = file.read(MAX_LOG_BYTES)
    return content.partition(b"\n")[2] if start else content


def _refused(data_dir: Path) -> Iterator[bytes]:
    """The last events about frames that the feed could not use, as it logged them."""
    lines: deque[bytes] = deque(maxlen=MAX_REFUSED)
    for path in _log_files(data_dir):
        with path.open("rb") as file:
            lines.extend(line for line in file if any(event in line for event in REFUSED_EVENTS))
    yield from lines


def _audit(data_dir: Path) -> bytes:
    """The audit of the last day."""
    day, files = list(days_of(data_dir).items())[-1]
    size = sum(path.stat().st_size for path in files.jsonl.values())
    if not files.jsonl or size > MAX_AUDIT_BYTES:
        raise Unavailable(f"left out: {day} has {size:,} bytes of lines; `hip3 audit {data_dir}` makes it")
    return audit_day(data_dir, day, at_ms=wall_ms()).model_dump_json(indent=1).encode()


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, default=str).encode()
