"""Print a tape as JSON, read by the source on the path: URL, NAME and COIN. Each release has its own version."""

import json
import sys
from dataclasses import asdict

from hip3_tasks.store import Keys, connect
from hip3_tasks.tape import TapeReader

url, name, coin = sys.argv[1:]
with connect(url) as client:
    entries = TapeReader(client, Keys(name)).between(coin, 0, 10**13, most=10_000)
print(json.dumps([[entry.at_ms, asdict(entry.value)] for entry in entries]))
