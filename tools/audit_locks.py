"""`python -m tools.audit_locks`: whether a known vulnerability is in what the locks pin, where that can be asked.

Fails on findings alone: where nobody answers, a line says so.
"""

import json
import subprocess
import sys
from typing import NamedTuple

LOCKS = ("requirements.lock", "requirements-dev.lock")
PATIENCE_S = 15
UNANSWERED = ("requests.exceptions.", "ServiceError", "your network may be blocking")
"""What pip-audit's errors name when it is the network or the service that fails; its exit code is 1 for all."""


class Verdict(NamedTuple):
    code: int
    text: str


def main() -> int:
    code, text = audit(LOCKS)
    print(text, file=sys.stderr if code else sys.stdout)
    return code


def audit(locks: tuple[str, ...]) -> Verdict:
    files = [word for lock in locks for word in ("-r", lock)]
    command = ["-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off", "-f", "json", *files]
    try:
        ended = subprocess.run(
            [sys.executable, *command], check=False, capture_output=True, text=True, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return _not_audited(f"no answer within {PATIENCE_S} s")
    return judge(ended.stdout, ended.stderr)


def judge(out: str, err: str) -> Verdict:
    """What pip-audit's output means."""
    if not out.strip():
        last = (err.strip().splitlines() or ["it said nothing"])[-1]
        return _not_audited(last) if any(word in err for word in UNANSWERED) else Verdict(1, err)
    found = json.loads(out)["dependencies"]
    known = [package for package in found if "vulns" in package]
    faults = [
        f"{package['name']} {package['version']}: {vuln['id']}, mended in {', '.join(vuln['fix_versions']) or 'none'}"
        for package in known
        for vuln in package["vulns"]
    ]
    if faults:
        return Verdict(1, "\n".join(faults))
    if not known:
        return _not_audited("the service that answers here knows none of them")
    return Verdict(0, f"No known vulnerability in {len(known)} of {len(found)} dependencies, the others are not known")


def _not_audited(why: str) -> Verdict:
    return Verdict(0, f"Dependencies not audited: {why[:200]}")


if __name__ == "__main__":
    sys.exit(main())
