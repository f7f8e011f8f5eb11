// One stream of events, kept as one state, drawn when the browser draws. What is old is said to be old.

import * as summary from "./summary.js";
import * as charts from "./charts.js";
import * as decay from "./decay.js";
import * as detail from "./detail.js";
import { $, setText } from "./dom.js";
import { clock } from "./format.js";
import * as markets from "./markets.js";
import * as pipeline from "./pipeline.js";
import * as signals from "./signals.js";

const OLD_MS = 3000;
const DEAD_MS = 10000;
const SIGNALS_KEPT = 300;

let state = null;
let heardAtMs = performance.now();
let askedAtMs = 0;
let refusal = "";
let source = null;
let isDirty = false;

function listen() {
  source?.close();
  askedAtMs = performance.now();
  source = new EventSource("events");
  source.addEventListener("message", (event) => {
    const found = JSON.parse(event.data);
    // A server that came back, or stands, may say once more what it said before: that is no news.
    if (found.at_ms !== state?.at_ms) heardAtMs = performance.now();
    refusal = "";
    take(found);
  });
  source.addEventListener("full", (event) => { refusal = ` ${event.data} watch already, and no more can.`; });
}

function take({ whole, markets: rows, coins, signals: changed, figures, ...head }) {
  if (whole) state = { markets: new Map(), signals: new Map() };
  if (!state) return;
  Object.assign(state, head);
  for (const row of rows ?? []) state.markets.set(row.coin, row);
  if (coins) for (const coin of [...state.markets.keys()]) if (!coins.includes(coin)) state.markets.delete(coin);
  for (const row of whole ? [...changed].reverse() : (changed ?? [])) state.signals.set(row.signal_id, row);
  while (state.signals.size > SIGNALS_KEPT) state.signals.delete(state.signals.keys().next().value);
  if (figures?.lateness) charts.draw($("lateness-chart"), figures.lateness);
  if (whole || coins) decay.coins([...state.markets.values()].filter((row) => row.state !== "delisted").map((row) => row.coin));
  if (changed) detail.changed(new Set(changed.map((row) => row.signal_id)));
  redraw();
}

function redraw() {
  if (isDirty || !state) return;
  isDirty = true;
  requestAnimationFrame(() => {
    isDirty = false;
    setText($("name"), state.name);
    $("notices").hidden = !state.notices.length;
    setText($("notices"), state.notices.join("; "));
    $("simulated").hidden = !state.is_simulated;
    setText($("session"), `${state.session} session`);
    setText($("clock"), `${clock(state.at_ms)} UTC`);
    summary.draw(state);
    markets.draw(state);
    signals.draw(state);
    pipeline.draw(state);
    judge();
    charts.load();
  });
}

function judge() {
  const silentMs = performance.now() - heardAtMs;
  const unknownMs = state && state.known_until_ms !== null ? state.at_ms - state.known_until_ms : 0;
  let said = "";
  if (silentMs > OLD_MS) said = `No word from the page's server for ${(silentMs / 1000).toFixed(0)} s. What you see is old.${refusal}`;
  else if (unknownMs > OLD_MS) said = `The market is not known since ${clock(state.known_until_ms)} UTC, for ${(unknownMs / 1000).toFixed(0)} s.`;
  const problems = state && !state.ok && silentMs <= OLD_MS ? state.problems.join("; ") : "";
  $("banner").hidden = !said && !problems;
  setText($("banner"), [said, problems].filter(Boolean).join(" "));
  document.body.classList.toggle("stale", Boolean(said));
  show(said ? "#888888" : state?.ok === false ? "#c0392b" : "#2f8f6b");
  // A browser gives up on a stream that was refused, and may not notice one that died in its sleep.
  const triedMs = performance.now() - askedAtMs;
  if (triedMs > DEAD_MS && silentMs > DEAD_MS && !refusal) listen();
  else if (triedMs > OLD_MS && source.readyState === EventSource.CLOSED) listen();
}

let shownColour = "";
function show(colour) {
  const found = $("dislocated").textContent;
  document.title = colour === "#2f8f6b" ? `${found.split(" ")[0]} dislocated – hip3` : "! hip3";
  if (colour === shownColour) return;
  shownColour = colour;
  const circle = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="${colour}"/></svg>`;
  $("icon").href = `data:image/svg+xml,${encodeURIComponent(circle)}`;
}

markets.setUp(redraw);
signals.setUp(detail.open);
detail.setUp();
decay.setUp();
listen();
setInterval(judge, 500);
