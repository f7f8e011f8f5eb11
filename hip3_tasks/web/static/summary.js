// Four questions of a trader, each with its answer.

import { $, setClass, element, setTitle, setText } from "./dom.js";
import { band, bps, count, ms, share, signed, words } from "./format.js";
import { dislocation, touchSide } from "./markets.js";

const OUTCOMES = ["book_came", "oracle_came", "unmoved", "widened", "missed"];
const LATE_MS = 500;
let shares = "";

export function draw(state) {
  alive(state);
  dislocated(state);
  taken(state.taken);
  came(state.verdicts);
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
  const named = rows.slice(0, 3).map((row) => `${row.coin} ${touchSide(row)} ${bps(row[`${touchSide(row)}_edge_bps`])}`);
  explain("dislocated", named.join(", ") || "no touch is beyond its threshold");
}

function taken(answer) {
  const trip = answer?.judged;
  const result = trip?.round_trip_bps;
  const isKnown = Boolean(trip?.trips);
  const hasBand = isKnown && result.low !== null;
  setText($("taken"), !isKnown ? "no answer yet" : hasBand ? `${signed(result.value)} bps (${band(result)})` : "too few to say");
  setClass($("taken"), hasBand && result.low > 0 ? "good" : hasBand && result.high < 0 ? "bad" : "");
  const soFar = `${trip?.clusters} of ${answer?.clusters_needed} clusters; so far ${signed(result?.value)} bps`;
  const what = isKnown ? [`${hasBand ? "" : `${soFar} `}a round trip when had`] : [];
  explain("taken", [...what, ...orders(answer), ...(answer && !answer.is_complete ? ["still reading"] : [])].join("; "));
}

// Also those of one market and side.
export function orders(answer) {
  const trip = answer?.judged;
  if (!trip) return [];
  const when = `in ${trip.latency_ms / 1000} s after T0, out ${trip.held_ms / 1000} s later, by follow-ups alone`;
  return [
    ...(trip.n ? [`had ${share(trip.had.value)} of ${count(trip.n)} today`, when] : []),
    ...(trip.too_small ? [`${count(trip.too_small)} below ${answer.min_notional_usd} USD left out`] : []),
  ];
}

function came({ signals, outcomes, mean_markout_bps: markout }) {
  const parts = OUTCOMES.filter((name) => outcomes[name]).map((name) => `${words(name)} ${outcomes[name]}`);
  explain("came", signals ? `of the last ${signals}: ${parts.join(", ")}; mid ${signed(markout)} bps` : "");
  if (shares === parts.join()) return;
  shares = parts.join();
  $("came-bar").replaceChildren(
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
