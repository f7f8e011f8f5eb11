"""Draw the market around a signal, from ten seconds before it to ten after, from the kept tape of a data directory.

python examples/neighbourhood.py data/mainnet/signals xyz:TSLA-1795338701358 neighbourhood.html
"""

import sys

import plotly.graph_objects as go
import polars as pl

from hip3_tasks.tape.load import load_tape

AROUND_MS = 10_000
LOOK_BACK_MS = 30_000
"""Each state is on the tape at least this often."""

directory, signal_id, page = sys.argv[1:]
coin, _, digits = signal_id.rpartition("-")
at_ms = int(digits)
since_ms, until_ms = at_ms - AROUND_MS - LOOK_BACK_MS, at_ms + AROUND_MS
tape = load_tape(directory, coin=coin, since=since_ms, until=until_ms).collect()
if tape.is_empty():
    sys.exit(f"{directory}: the kept tape has nothing of {coin} around {at_ms}")

figure = go.Figure()
for column, name in {"ask_px": "ask", "bid_px": "bid", "oracle_px": "oracle"}.items():
    seconds, prices = (tape["at_ms"] - at_ms) / 1000, tape[column]
    # A price holds until the next row; in a gap, and on an empty side, there is none, and the line breaks.
    figure.add_scatter(x=seconds, y=prices, name=name, line_shape="hv", connectgaps=False)
figure.add_vline(x=0, line_dash="dot", annotation_text=signal_id)
figure.update_xaxes(title="seconds after the signal", range=[-AROUND_MS / 1000, AROUND_MS / 1000])
figure.update_yaxes(title="price")
figure.write_html(page)
print(f"{page} written: {tape.height} rows, {tape.filter(pl.col('gap').is_not_null()).height} of them gaps")
