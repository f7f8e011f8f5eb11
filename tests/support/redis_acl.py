"""The access rules of the deployed server, for the server of a test."""

import os
import subprocess
from pathlib import Path

USERS = Path(__file__).parents[2] / "docker" / "redis" / "users"


def acl_file(folder: Path, password: str, *more: str, control_name: str = "hip3", **settings: str) -> Path:
    """Write the file for a server's `--aclfile`: the user `hip3` with this password, and lines of more users."""
    environment = {**os.environ, "REDIS_PASSWORD": password, "HIP3_CONTROL_NAME": control_name, **settings}
    users = subprocess.run(["sh", USERS], env=environment, capture_output=True, check=True, text=True).stdout
    path = folder / "users.acl"
    path.write_text(users + "".join(f"{line}\n" for line in more))
    return path
