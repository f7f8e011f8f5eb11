"""`python -m tools.audit_locks`: check the packages of the locks for known vulnerabilities.

Fails only on findings; without an answer of the service, it prints a line and succeeds.
"""

import json
import subprocess
import sys
from typing import NamedTuple

LOCKS = ("requirements.lock", "requirements-dev.lock")
TIMEOUT_S = 15
UNANSWERED = ("requests.exceptions.", "ServiceError", "your network may be blocking")
"""Words in pip-audit's errors when the network or the service fails; its exit code is 1 for every error."""


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
        process = subprocess.run(
            [sys.executable, *command], check=False, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return _not_audited(f"no answer within {TIMEOUT_S} s")
    return judge(process.stdout, process.stderr)


def judge(out: str, err: str) -> Verdict:
    """The verdict on the output of pip-audit."""
    if not out.strip():
        last = (err.strip().splitlines() or ["no output"])[-1]
        return _not_audited(last) if any(word in err for word in UNANSWERED) else Verdict(1, err)
    packages = json.loads(out)["dependencies"]
    known_packages = [package for package in packages if "vulns" in package]
    findings = [
        f"{package['name']} {package['version']}: {vuln['id']}, fixed in {', '.join(vuln['fix_versions']) or 'none'}"
        for package in known_packages
        for vuln in package["vulns"]
    ]
    if findings:
        return Verdict(1, "\n".join(findings))
    if not known_packages:
        return _not_audited("the service knows none of the packages")
    return Verdict(
        0,
        f"No known vulnerability in {len(known_packages)} of {len(packages)} dependencies; the others are unknown",
    )


def _not_audited(reason: str) -> Verdict:
    return Verdict(0, f"Dependencies not audited: {reason[:200]}")


if __name__ == "__main__":
    sys.exit(main())
