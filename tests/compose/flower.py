"""Requests to Flower, with and without a password."""

import base64
import urllib.error
import urllib.request

USER, PASSWORD = "compose", "test"
CREDENTIALS = f"{USER}:{PASSWORD}"


def ask(port: int, path: str, credentials: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"} if credentials else {}
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
