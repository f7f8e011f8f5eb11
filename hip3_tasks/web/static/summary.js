// Four questions of a trader, each with its answer.

import { $, setClass, element, setTitle, setText } from "./dom.js";
import { bps, count, ms, signed, words } from "./format.js";
import { dislocation } from "./markets.js";

const OUTCOMES = ["book_came", "oracle_came", "unmoved", "widened", "missed"];
const LATE_MS = 500;
let shares = "";

export function draw(state) {
  alive(state);
  dislocated(state);
  right(state.verdicts);
  late(state);
}

function alive({ ok, problems, pipeline }) {
  setText($("alive"), ok ? "All is well" : "Red");
  setClass($("alive"), ok ? "good" : "bad");
  const markets = pipeline ? `${count(pipeline.markets_live)} of ${count(pipeline.markets_followed)} markets live` : "";
  explain("alive", ok ? `${markets}, ${pipeline?.frames_per_s ?? 0} frames/s` : problems.join("; "));
}

function dislocated({ markets }) {
  const live = [...markets.values()].filter((row) => row.state === "live");
  const rows = live.filter((row) => dislocation(row) >= 1).sort((a, b) => dislocation(b) - dislocation(a));
  setText($("dislocated"), `${rows.length} of ${live.length}`);
  setClass($("dislocated"), rows.length ? "warm" : "");
  const named = rows.slice(0, 3).map((row) => {
    const side = (row.buy_edge_bps ?? -Infinity) >= (row.sell_edge_bps ?? -Infinity) ? "buy" : "sell";
    return `${row.coin} ${side} ${bps(row[`${side}_edge_bps`])}`;
  });
  explain("dislocated", named.join(", ") || "no touch is beyond its threshold");
}

function right(verdicts) {
  const { signals, outcomes } = verdicts;
  const came = (outcomes.book_came ?? 0) + (outcomes.oracle_came ?? 0);
  const priced = signals - (outcomes.missed ?? 0);
  setText($("right"), priced ? `${Math.round((100 * came) / priced)} % shrank` : "no answer yet");
  const parts = OUTCOMES.filter((name) => outcomes[name]).map((name) => `${words(name)} ${outcomes[name]}`);
  explain("right", signals ? `markout ${signed(verdicts.mean_markout_bps)} bps, of the last ${signals}: ${parts.join(", ")}` : "");
  if (shares === parts.join()) return;
  shares = parts.join();
  $("right-bar").replaceChildren(
    ...OUTCOMES.filter((name) => outcomes[name]).map((name) => {
      const part = element("i", { className: name });
      part.style.flexGrow = outcomes[name];
      return part;
    }),
  );
}

function late({ pipeline, late_now_ms: { p50, p99, max } }) {
  setText($("late"), p99 === null || p99 === undefined ? "no capture yet" : `p99 ${ms(p99)}`);
  setClass($("late"), p99 > LATE_MS ? "bad" : "");
  explain("late", pipeline ? `p50 ${ms(p50)}, max ${ms(max)} in two minutes; ${count(pipeline.pending)} pending, ${count(pipeline.overdue)} overdue` : "");
}

// The tile shows two lines, the tooltip the full text.
function explain(answer, text) {
  setText($(`${answer}-why`), text);
  setTitle($(`${answer}-why`), text);
}
