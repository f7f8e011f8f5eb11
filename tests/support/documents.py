"""The documents of the repository: their blocks of code, their links, and the blocks that no test executes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", *PAGES)
CODE = {"python", "sh", "console"}
OTHER_LANGUAGES = {"", "json", "text", "yaml", "mermaid", "sql"}

NEEDS_DOCKER = "needs a Docker engine; `make compose-test` does it"
BY_HAND = "needs a Docker engine, or files of one; done by hand"
NOT_EXECUTED = {
    "make test JOBS=2": "runs all tests, the test of the documents among them",
    'make run ARGS="--venue mainnet"': "needs access to api.hyperliquid.xyz",
    "hip3 probe --venue mainnet": "needs access to api.hyperliquid.xyz",
    "pip wheel --no-deps .": "needs a package index; `make wheel-test` does it",
    "celery -A hip3_tasks worker --autoscale=8,2 -E -n one@%h": "runs until it is stopped",
    "from hip3_tasks.tape.load import load_tape": "needs a minute of tape; tests/acceptance/test_up.py does it",
    "from pathlib import Path": "needs signals with a tape; tests/unit/recording/test_sql.py does it",
    "docker compose exec worker nice hip3 compact --delete": BY_HAND,
    "docker compose up -d                                # mainnet": NEEDS_DOCKER,
    "docker-compose --profile sim ps": NEEDS_DOCKER,
    "docker compose exec feed hip3 status --check": NEEDS_DOCKER,
    "docker compose logs -f feed worker": "runs until it is stopped, and needs a Docker engine",
    "docker compose logs flower | grep password": NEEDS_DOCKER,
    "docker compose exec worker celery -A hip3_tasks call hip3_tasks.capture_followup "
    """--args '["para:BANKS-1795387978616", 3000]'""": NEEDS_DOCKER,
    "docker compose up -d --scale worker=3": NEEDS_DOCKER,
    "docker compose build": NEEDS_DOCKER,
    "docker compose up -d --no-deps feed": NEEDS_DOCKER,
    "docker compose exec -T worker sh -c 'cat >data/thresholds.json' <thresholds.json": BY_HAND,
    "ls -ln /srv/hip3/sim/signals": BY_HAND,
    "docker compose exec -T worker tar -C data -cz . >backup.tar.gz": BY_HAND,
    "docker compose -f docker-compose.yml -f docker/redis-published.yml up -d": "needs two machines",
    "docker compose up -d --no-deps worker recorder feed": "needs two machines",
    "hip3 audit A/sim/signals B/sim/signals": "needs the data of two projects",
}
"""The first command of each block that no test executes, and the reason."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a document."""

    document: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def script(self) -> str:
        """The code without the output that a `console` block shows."""
        if self.language != "console":
            return self.text
        return "\n".join(line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ "))

    @property
    def first_command(self) -> str:
        lines = self.script.splitlines()
        return next((line for line in lines if line and not line.startswith("#")), "")

    @property
    def is_executed(self) -> bool:
        return self.language in CODE and self.first_command not in NOT_EXECUTED


def text_of(document: str) -> str:
    return (ROOT / document).read_text()


def prose_of(document: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text_of(document))


def blocks_of(document: str) -> Iterator[Block]:
    text = text_of(document)
    for match in _FENCE.finditer(text):
        yield Block(document, text.count("\n", 0, match.start()) + 1, match[2], match[3])


def all_blocks() -> list[Block]:
    return [block for document in DOCUMENTS for block in blocks_of(document)]


def links_of(document: str) -> list[str]:
    """The targets of links and images that do not leave the repository."""
    return [target for target in _LINK.findall(prose_of(document)) if "://" not in target]


def inline_code_of(document: str) -> list[str]:
    return _INLINE.findall(prose_of(document))


def anchors_of(document: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = _HEADING.findall(prose_of(document))
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in words}
