// The decay of today's edges by horizon, requested every 10 s and when another market or side is chosen.

import { draw as drawChart } from "./charts.js";
import { $, element } from "./dom.js";
import { band, clock, count, horizon, signed } from "./format.js";
import { orders } from "./summary.js";

const INTERVAL_MS = 10000;
const UNKNOWN = { value: null, low: null, high: null };
let listed = "";

export function setUp() {
  for (const id of ["decay-coin", "decay-side"]) $(id).addEventListener("change", update);
  setInterval(() => { if (!document.hidden) update(); }, INTERVAL_MS);
  update();
}

export function coins(names) {
  const text = names.join();
  if (text === listed) return;
  listed = text;
  const select = $("decay-coin");
  const chosen = select.value;
  if (chosen && !names.includes(chosen)) names = [...names, chosen]; // it stays chosen, since it may come back
  select.replaceChildren(element("option", { value: "", text: "all markets" }), ...names.map((text) => element("option", { text })));
  select.value = chosen;
}

async function update() {
  const query = new URLSearchParams({ coin: $("decay-coin").value, side: $("decay-side").value });
  let answer;
  try {
    answer = await fetch(`api/decay?${query}`);
  } catch {
    return; // the banner tells it
  }
  if (!answer.ok) return;
  const { since_ms: sinceMs, is_complete: isComplete, horizons, trips, taken, figure } = await answer.json();
  $("decay-since").textContent = `since ${clock(sinceMs)} UTC${isComplete ? "" : ", still reading"}`;
  const latencyMs = taken.judged?.latency_ms;
  const tripAt = (offsetMs) => trips.find((trip) => trip.latency_ms === latencyMs && latencyMs + trip.held_ms === offsetMs);
  $("decay-rows").replaceChildren(...horizons.map((horizon) => row(horizon, tripAt(horizon.offset_ms))));
  $("decay-taken").textContent = orders(taken).join("; ");
  drawChart($("decay-chart"), figure);
}

function row({ offset_ms: offsetMs, edge_bps: edge, markout_bps: markout, n, clusters }, trip) {
  const means = [edge, markout, trip?.round_trip_bps ?? UNKNOWN].flatMap((mean) => [signed(mean.value), band(mean)]);
  const texts = [horizon(offsetMs), ...means, count(n)];
  const cells = texts.map((text, n) => element("td", { text, className: [2, 4, 6].includes(n) ? "wide" : "" }));
  cells.at(-1).title = `${count(n)} signals in ${count(clusters)} minutes`;
  if (trip) cells.at(-3).title = `${count(trip.trips)} round trips in ${count(trip.clusters)} minutes`;
  return element("tr", {}, ...cells);
}
