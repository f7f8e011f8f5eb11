import sys

from hip3_tasks.cli import main

if __name__ == "__main__":
    sys.exit(main())
