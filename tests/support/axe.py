"""axe-core, the accessibility checker, run in a browser's tab. It is fetched once, and checked against its digest."""

import base64
import functools
import hashlib
import io
import json
import os
import tarfile
import urllib.request
from pathlib import Path

import pytest

from tools.browser import Tab

VERSION = "4.14.1"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""The digest of the package, as npm's lock files have it."""
URL = f"https://registry.npmjs.org/axe-core/-/axe-core-{VERSION}.tgz"
CACHED = Path(__file__).parents[2] / "build" / f"axe-core-{VERSION}.tgz"
TIMEOUT_S = 20
OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"],
    # The rules of WCAG 2.2 are off unless they are asked for by name.
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}


def violations(tab: Tab) -> list[str]:
    """The violations of WCAG 2.2, A and AA, in what the tab shows: the rule, the element, and the reason."""
    tab.run(f"{_script()}; 0")
    broken = tab.run(f"axe.run(document, {json.dumps(OPTIONS)}).then((results) => results.violations)")
    return [
        f"{rule['id']}: {node['html'][:150]}: {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in broken
        for node in rule["nodes"]
    ]


@functools.cache
def _script() -> str:
    package = CACHED.read_bytes() if CACHED.is_file() else _fetched()
    digest = base64.b64encode(hashlib.sha512(package).digest()).decode()
    assert digest == SHA512, f"{URL}: expected the sha512 {SHA512}, was {digest}; remove {CACHED} if it is there"
    with tarfile.open(fileobj=io.BytesIO(package)) as files:
        file = files.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode()


def _fetched() -> bytes:
    """Skips the test if the registry cannot be reached."""
    try:
        with urllib.request.urlopen(URL, timeout=TIMEOUT_S) as answer:
            package: bytes = answer.read()
    except OSError as error:
        pytest.skip(f"axe-core is fetched once, and {URL} does not answer: {error}")
    CACHED.parent.mkdir(exist_ok=True)
    partial = CACHED.with_suffix(f".{os.getpid()}")
    partial.write_bytes(package)
    partial.replace(CACHED)  # tests in other processes may fetch it too
    return package
