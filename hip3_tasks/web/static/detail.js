// One signal: the prices around it, its outcomes, and a button to capture it again.

import { draw } from "./charts.js";
import { $, element } from "./dom.js";
import { bps, clock, horizon, ms, signed, usd, words } from "./format.js";
import { fate } from "./signals.js";

let shown = null;

export function setUp() {
  $("signal-close").addEventListener("click", () => $("signal").close());
  $("signal").addEventListener("click", (event) => { if (event.target === $("signal")) $("signal").close(); });
  $("recapture").addEventListener("click", recapture);
}

export async function open(id) {
  shown = id;
  $("recapture-result").textContent = "";
  offerRecapture(false);
  $("recapture-command").textContent = `hip3 recapture ${id}`;
  await refresh(id);
  if (shown === id && !$("signal").open) $("signal").showModal();
}

// Cells fill in also while the dialog is open.
export async function changed(ids) {
  if ($("signal").open && ids.has(shown)) await refresh(shown);
}

async function refresh(id) {
  const detail = await request(`api/signal?id=${encodeURIComponent(id)}`);
  if (shown !== id) return;
  if (detail.error) {
    $("signal-title").textContent = id;
    $("signal-words").textContent = detail.error;
    return;
  }
  const { signal, figure } = detail;
  $("signal-title").textContent = `${signal.coin} ${signal.side}`;
  $("signal-words").textContent =
    `${clock(signal.at_ms)} UTC, edge ${bps(signal.raw_edge_bps)} bps (net ${bps(signal.net_edge_bps)}), threshold ${bps(signal.threshold_bps)}; touch worth ${usd(signal.usd)} USD; an order at it: ${fate(signal)}`;
  offerRecapture(signal.cells.some((cell) => cell.outcome === null));
  $("signal-cells").replaceChildren(...signal.cells.map((cell, n) => row(cell, detail.tasks[n], detail.links[n])));
  $("signal-chart").hidden = !figure;
  $("signal-no-chart").hidden = Boolean(figure);
  $("signal-no-chart").textContent = detail.why_no_figure ?? "";
  if (figure) requestAnimationFrame(() => draw($("signal-chart"), figure));
}

async function request(path, options) {
  try {
    return await (await fetch(path, options)).json();
  } catch {
    return { error: "the page's server does not answer" };
  }
}

function row(cell, task, link) {
  const outcome = cell.outcome === "missed" ? words(cell.why ?? "missed") : words(cell.outcome ?? "open");
  const where = link
    ? element("a", { href: link, target: "_blank", rel: "noopener noreferrer", text: "Flower", title: task })
    : element("span", { text: "–", title: task });
  const texts = [horizon(cell.offset_ms), null, bps(cell.raw_edge_bps), signed(cell.edge_change_bps), signed(cell.markout_bps), signed(cell.round_trip_bps), ms(cell.late_ms)];
  const cells = texts.map((text, n) => element("td", { text: text ?? "", className: n === 2 || n === 6 ? "wide" : "" }));
  cells[1].append(element("span", { text: outcome, className: `cell ${cell.outcome ?? "open"}` }));
  return element("tr", {}, ...cells, element("td", {}, where));
}

function offerRecapture(isOpen) {
  for (const id of ["recapture", "recapture-command"]) $(id).hidden = !isOpen;
}

async function recapture() {
  $("recapture").disabled = true;
  const body = JSON.stringify({ signal_id: shown });
  const result = await request("api/recapture", { method: "POST", headers: { "content-type": "application/json" }, body });
  $("recapture-result").textContent = result.error ?? `queued for ${result.queued_ms.map(horizon).join(", ")}`;
  $("recapture").disabled = false;
}
