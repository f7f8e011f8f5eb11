"""The command line `hip3`: `python -m hip3_tasks.cli`. A command imports what it needs, so that help comes at once."""

from hip3_tasks.cli import streams
from hip3_tasks.cli.commands import app
from hip3_tasks.cli.exit_status import exit_status

__all__ = ["app", "exit_status", "main"]


def main() -> int:
    """Run the command of `sys.argv`, and return its exit status."""
    streams.encode_always()
    return exit_status(lambda: app(prog_name="hip3", standalone_mode=False))
