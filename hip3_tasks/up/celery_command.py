"""Celery's command line for this package's app: `python -m hip3_tasks.up.celery_command worker ...`.

`celery -A hip3_tasks` would import the package from the working directory first, which may be another checkout.
"""

import sys

import click

from hip3_tasks.celery import app


def main() -> int:
    try:
        return int(app.start(sys.argv[1:]) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
