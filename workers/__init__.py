"""Celery workers: they read the tape as of a due time and append the outcome to the journal."""

import sys
from typing import Any, cast

if "rich" not in sys.modules:
    # Only for coloured tracebacks, structlog would import it: 4.5 MB and 30 ms of each spawned pool process.
    modules = cast(dict[str, Any], sys.modules)
    modules["rich"] = None
    import structlog  # noqa: F401

    del modules["rich"]
