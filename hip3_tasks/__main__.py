"""`python -m hip3_tasks` is the command `hip3`."""

import sys

from hip3_tasks.cli import main

if __name__ == "__main__":
    sys.exit(main())
