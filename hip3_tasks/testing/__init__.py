"""Tools to test a bot or an analysis that is built on this project: pip install 'hip3-tasks[testing]'.

`FedTape` stores market states and returns them as of any instant; `make_market`, `make_signal`, `make_followup` and
`make_missed` build records with consistent numbers, and `play` writes them to files as a running system does;
`FakeServer` is the Redis-compatible server that they use.
The pytest fixture `fed_tape` is in `hip3_tasks.testing.fixtures`; a conftest has to load it:

    pytest_plugins = ["hip3_tasks.testing.fixtures"]
"""

from hip3_tasks.testing.fake import FakeServer
from hip3_tasks.testing.fedtape import FedTape
from hip3_tasks.testing.play import play
from hip3_tasks.testing.samples import T0_MS, make_followup, make_market, make_missed, make_signal

__all__ = ["T0_MS", "FakeServer", "FedTape", "make_followup", "make_market", "make_missed", "make_signal", "play"]
