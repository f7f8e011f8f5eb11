"""The audit of the locks fails on findings, and not on a missing network."""

import json

import pytest

from tools.audit_locks import judge

SAFE = {"name": "kombu", "version": "5.7.0", "vulns": []}
UNKNOWN = {"name": "aiohttp", "skip_reason": "Dependency not found on PyPI and could not be audited: aiohttp (3.14.5)"}
VULNERABLE = {
    "name": "aiohttp",
    "version": "3.14.5",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["99"], "aliases": ["CVE-2026-1"], "description": "x"}],
}


def report_of(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []}) + "\n"


def test_a_finding_fails_and_names_the_fixed_version() -> None:
    code, text = judge(report_of(SAFE, UNKNOWN, VULNERABLE), "Found 1 known vulnerability in 1 package")
    assert (code, text) == (1, "aiohttp 3.14.5: PYSEC-2026-1, fixed in 99")


def test_a_lock_without_vulnerabilities_passes() -> None:
    code, text = judge(report_of(SAFE, UNKNOWN), "No known vulnerabilities found")
    assert code == 0
    assert "1 of 2" in text


@pytest.mark.parametrize(
    ("out", "err"),
    [
        (report_of(UNKNOWN), "No known vulnerabilities found"),
        ("", "Traceback ...\nrequests.exceptions.ProxyError: HTTPSConnectionPool(host='pypi.org', port=443)"),
        ("", "ERROR:pip_audit._cli:Tip: your network may be blocking this service. Try another one"),
        ("", "pip_audit._service.interface.ServiceError"),
    ],
)
def test_a_service_that_is_not_there_is_one_line_and_no_failure(out: str, err: str) -> None:
    code, text = judge(out, err)
    assert code == 0
    assert text.startswith("Dependencies not audited: ")
    assert "\n" not in text


def test_a_lock_that_cannot_be_read_fails() -> None:
    assert judge("", "ERROR:pip_audit._cli:requirement aiohttp is not pinned").code == 1
