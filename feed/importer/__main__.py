"""`python -m feed.importer`: the process of `hip3 import`."""

import sys

from hip3_tasks.cli import streams
from hip3_tasks.cli.exit_status import exit_status


def main() -> int:
    streams.encode_always()
    return exit_status(_import)


def _import() -> int:
    from feed.importer.command import import_command  # here, so that Ctrl-C ends it cleanly from the start

    return import_command()


if __name__ == "__main__":
    sys.exit(main())
