"""The JSON file that HIP3_THRESHOLDS names, thresholds in bps per coin; `hip3 import --fees` reads fees in its form."""

import json
import math
from pathlib import Path
from typing import Any

from hip3_tasks.domain.market import COIN

EXAMPLE = '{"xyz:TSLA": 12.5}'
MAX_SHOWN = 60
"""Characters of a wrong key or value in an error text."""


def read_thresholds(path: Path) -> dict[str, float]:
    """Read thresholds in bps by coin. Raises ValueError that names the wrong key or value."""
    try:
        given = json.loads(path.read_bytes(), parse_int=float)
    except OSError as error:
        raise ValueError(f"expected a file that can be read ({error.strerror})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON like {EXAMPLE} in it (line {error.lineno}: {error.msg})") from None
    except (ValueError, RecursionError):  # no encoding of JSON, or nested too deeply
        raise ValueError(f"expected JSON like {EXAMPLE} in it") from None
    if not isinstance(given, dict):
        raise ValueError(f"expected JSON like {EXAMPLE} in {path}, was {_shown(given)}")
    for coin, bps in given.items():
        if not COIN.fullmatch(coin):
            raise ValueError(f"expected DEX:COIN, as in xyz:TSLA, in {path}, was {_shown(coin)}")
        if not isinstance(bps, float) or not math.isfinite(bps):
            raise ValueError(f"expected a number of bps in {path}, was {_shown(coin)}: {_shown(bps)}")
    return given


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} ..."
