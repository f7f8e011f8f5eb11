// The decay of today's edges by horizon, requested every 10 s and when another market or side is chosen.

import { draw as drawChart } from "./charts.js";
import { $, element } from "./dom.js";
import { NONE, clock, count, horizon, signed } from "./format.js";

const INTERVAL_MS = 10000;
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
  const { since_ms: sinceMs, is_complete: isComplete, horizons, figure } = await answer.json();
  $("decay-since").textContent = `since ${clock(sinceMs)} UTC${isComplete ? "" : ", still reading"}`;
  $("decay-rows").replaceChildren(...horizons.map(row));
  drawChart($("decay-chart"), figure);
}

function row({ offset_ms: offsetMs, edge_bps: edge, markout_bps: markout, n, clusters }) {
  const texts = [horizon(offsetMs), signed(edge.value), band(edge), signed(markout.value), band(markout), count(n)];
  const cells = texts.map((text, n) => element("td", { text, className: n === 2 || n === 4 ? "wide" : "" }));
  cells.at(-1).title = `${count(n)} signals in ${count(clusters)} minutes`;
  return element("tr", {}, ...cells);
}

const band = ({ low, high }) => (low === null || low === high ? NONE : `${signed(low)} to ${signed(high)}`);
