// One stream of events updates one state, which is drawn with the browser's frames. Old data is marked as old.

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
let receivedAtMs = performance.now();
let connectedAtMs = 0;
let refusal = "";
let source = null;
let isDirty = false;

function listen() {
  source?.close();
  connectedAtMs = performance.now();
  source = new EventSource("events");
  source.addEventListener("message", (event) => {
    const changes = JSON.parse(event.data);
    // A server that restarted or stands still may send the last state again: that is no news.
    if (changes.at_ms !== state?.at_ms) receivedAtMs = performance.now();
    refusal = "";
    take(changes);
  });
  source.addEventListener("full", (event) => { refusal = ` The page has ${event.data} viewers, and takes no more.`; });
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
    checkAge();
    charts.load();
  });
}

function checkAge() {
  const silentMs = performance.now() - receivedAtMs;
  const unknownMs = state && state.known_until_ms !== null ? state.at_ms - state.known_until_ms : 0;
  let warning = "";
  if (silentMs > OLD_MS) warning = `No update from the page's server for ${(silentMs / 1000).toFixed(0)} s. All values are old.${refusal}`;
  else if (unknownMs > OLD_MS) warning = `The state of the market is not known since ${clock(state.known_until_ms)} UTC, for ${(unknownMs / 1000).toFixed(0)} s.`;
  const problems = state && !state.ok && silentMs <= OLD_MS ? state.problems.join("; ") : "";
  $("banner").hidden = !warning && !problems;
  setText($("banner"), [warning, problems].filter(Boolean).join(" "));
  document.body.classList.toggle("stale", Boolean(warning));
  show(warning ? "#888888" : state?.ok === false ? "#c0392b" : "#2f8f6b");
  // A browser gives up on a refused stream, and may not notice that a stream ended while the computer slept.
  const connectingMs = performance.now() - connectedAtMs;
  if (connectingMs > DEAD_MS && silentMs > DEAD_MS && !refusal) listen();
  else if (connectingMs > OLD_MS && source.readyState === EventSource.CLOSED) listen();
}

let shownColour = "";
function show(colour) {
  const dislocated = $("dislocated").textContent;
  document.title = colour === "#2f8f6b" ? `${dislocated.split(" ")[0]} dislocated – hip3` : "! hip3";
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
setInterval(checkAge, 500);
// A page that was left is kept for a while, and its stream would be one of the few that a browser opens to a server.
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
