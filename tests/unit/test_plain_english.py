"""Docstrings, comments, messages and names keep to the plain English of CONTRIBUTING.md. All rules stand here."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("hip3_tasks", "feed", "workers", "simulator", "celeryconfig.py")
PYTHON = (*PRODUCT, "benchmarks", "examples", "tests", "tools")
RELEASES = re.compile(r"tests/releases/\d")
"""Files of earlier releases stay as they were written."""

OPENINGS = re.compile(
    r"(of|by|from|what|that|those|which|whoever|whatever|whose|where|were|however|and|as|so|at)\b", re.IGNORECASE
)
"""A docstring that opens so hangs on the line above it. A subject or an imperative verb opens it instead."""

WORDS = {
    r"reckon\w*": "compute",
    r"whoever": "the reader, the caller, a client",
    r"nobody|no one": "no user, no process, none",
    r"of ours": "of this program",
    r"for ever": "forever, without limit",
    r"upon": "on",
    r"the very": "the same",
    r"let(s|ting)? go of": "release",
    r"patience": "timeout",
    r"mend(s|ed|ing)?": "repair, fix",
    r"owed?|owes|unowed": "expected",
    r"such a one": "the noun",
    r"turn about": "alternately",
    r"all the more": "leave it out",
    r"lest": "so that ... not",
    r"bur(y|ies|ied)": "reap",
    r"accus(e|es|ed|ing)|guilty": "reject, rejected",
    r"vouch(es|ed|ing)?": "confirm",
    r"household|warden|workshop|exhibit": "supervisor, reaper, work directory, value",
    r"as it were|in vain|at hand|thereby|thereof|therein|wherein|whereof|henceforth": "leave it out",
    r"is? to be (said|told|had|known)": "name who does it",
    r"tells? (of|nothing)|says? nothing": "does not contain",
    r"so (many|much) (is|are|may|of)": "name the number",
    r"some such|one such|none such": "the noun",
    r"by hand only|in whatever order": "name the case",
    r"what(ever)? (is|was|has|had|it|they) \w+ (stays|goes|comes|stands)": "name the thing",
    r"dearer|dearest": "more expensive",
    r"look(s|ed)? upon|come to pass|make known|makes known": "plain verb",
}
"""Old, private or empty words, with what to write instead."""

VARIABLES = {"of", "one", "at", "found", "said", "told"}
"""A name is the noun: `rows`, `group`, `index`, `problems`, `text`."""

CONSTANTS = re.compile(r"_MOST(_|$)|^_?MOST_|_PATIENCE|_EVERY(_|$)|^_?FEWEST")
"""`MAX_*`, `*_TIMEOUT_S`, `*_INTERVAL_S`, `MIN_*`."""

NOT_OURS = {"REPLICAOF NO ONE", "unowed"}
"""Strings that others read: a command of Redis, and a key of the report's JSON that has been released."""

BANNED = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)


def files(*folders: str, suffix: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *folders],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = (name for name in listed.stdout.split() if name.endswith(suffix) and not RELEASES.match(name))
    return [ROOT / name for name in names if name != "tests/unit/test_plain_english.py" and (ROOT / name).exists()]


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Docstrings of modules, classes, functions and of the constants and fields that they follow."""
    for node in ast.walk(tree):
        for statement in getattr(node, "body", None) if isinstance(getattr(node, "body", None), list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.lineno, text


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Comments, and all strings: docstrings, errors, log events and what is printed."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if text not in NOT_OURS:
                for offset, line in enumerate(text.splitlines()):
                    yield node.lineno + offset, line


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that the code gives to values: variables, parameters, methods and functions."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name


def problems(path: Path) -> list[str]:
    where, source = path.relative_to(ROOT), path.read_text()
    if path.suffix != ".py":
        return [
            f"{where}:{number}: {match[0]!r}"
            for number, line in enumerate(source.splitlines(), 1)
            for match in BANNED.finditer(line)
        ]
    tree = ast.parse(source)
    banned = [(line, repr(match[0])) for line, text in texts(source) for match in BANNED.finditer(text)]
    opened = [(line, f"opens with {text.split()[0]!r}") for line, text in docstrings(tree) if OPENINGS.match(text)]
    named = [(line, f"name {name!r}") for line, name in names(tree) if name in VARIABLES or CONSTANTS.search(name)]
    return [f"{where}:{line}: {problem}" for line, problem in sorted({*banned, *opened, *named})]


@pytest.mark.parametrize("folder", PYTHON)
def test_code_is_in_plain_english(folder: str) -> None:
    assert not [problem for path in files(folder, suffix=".py") for problem in problems(path)]


def test_documents_are_in_plain_english() -> None:
    assert not [problem for path in files(suffix=".md") for problem in problems(path)]


def test_no_two_classes_of_the_product_share_a_name() -> None:
    classes = defaultdict(list)
    for path in files(*PRODUCT, suffix=".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: places for name, places in classes.items() if len(places) > 1}


if __name__ == "__main__":
    chosen = sys.argv[1:] or [*PYTHON]
    listed = [*files(*chosen, suffix=".py"), *files(*chosen, suffix=".md")]
    print(*(problem for path in listed for problem in problems(path)), sep="\n")
