// The newest signals. Their cells fill in as they are captured.

import { $, setClass, element, setTitle, setText, titled } from "./dom.js";
import { bps, clock, horizon, signed, usd, words } from "./format.js";

const MAX_ROWS = 100;
const NEW_MS = 2000; // without an animation, which would make the browser paint sixty times per second
const CLASSES = { Market: "name", Side: "wide wider", Size: "wide" };
const UNITS = { Time: "UTC", Market: "", Side: "", Size: "USD" }; // the others are in bps
const TITLES = { Size: "what the touch is worth", Trip: "round trip when had, after fees and slippage" };
const rowParts = new Map();
let offsets = "";

export function setUp(open) {
  const body = $("signal-rows");
  const signalId = (event) => event.target.closest("tr")?.dataset.id;
  body.addEventListener("click", (event) => { const id = signalId(event); if (id) open(id); });
  body.addEventListener("keydown", step);
  body.addEventListener("focusin", (event) => enter(event.target));
}

// The rows are one stop of the tab key; arrows go from one to the next.
function step(event) {
  const row = event.target.closest("tr");
  const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
  if (!next) return;
  event.preventDefault();
  next.querySelector("button").focus();
}

let entered = null;
function enter(button) {
  if (!button || button === entered) return;
  if (entered) entered.tabIndex = -1;
  entered = button;
  entered.tabIndex = 0;
}

export function draw(state) {
  const newest = [...state.signals.values()].sort((a, b) => b.at_ms - a.at_ms || (a.coin < b.coin ? -1 : 1)).slice(0, MAX_ROWS);
  const wanted = [...new Set(newest.flatMap((row) => row.cells.map((cell) => cell.offset_ms)))].sort((a, b) => a - b);
  if (offsets !== String(wanted)) columns(wanted);
  const kept = new Set(newest.map((row) => row.signal_id));
  for (const [id, parts] of rowParts) if (!kept.has(id)) { parts.row.remove(); rowParts.delete(id); }
  const body = $("signal-rows");
  newest.forEach((row, place) => {
    const parts = rowParts.get(row.signal_id) ?? make(row, wanted);
    setClass(parts.row, state.at_ms - row.at_ms < NEW_MS ? "new" : "");
    fill(parts, row);
    if (body.children[place] !== parts.row) body.insertBefore(parts.row, body.children[place] ?? null);
  });
  if (!body.contains(document.activeElement)) enter(body.querySelector("button"));
}

function columns(wanted) {
  offsets = String(wanted);
  const names = ["Time", "Market", "Side", "Edge", "Size", ...wanted.map(horizon), "Trip"];
  const classes = { ...CLASSES, ...Object.fromEntries(wanted.map((offsetMs) => [horizon(offsetMs), width(offsetMs, wanted)])) };
  $("signal-columns").replaceChildren(
    ...names.map((name) => element("th", { scope: "col", className: classes[name], title: TITLES[name] }, ...titled({ name, unit: UNITS[name] ?? "bps" }))),
  );
  for (const parts of rowParts.values()) parts.row.remove();
  rowParts.clear();
}

// A phone shows the first and the last horizon.
const width = (offsetMs, wanted) => (wanted.slice(1, -1).includes(offsetMs) ? "wide" : "");

function make(row, wanted) {
  const cells = new Map(wanted.map((offsetMs) => [offsetMs, element("span", { className: "cell" })]));
  const trip = element("span");
  const arrow = row.side === "buy" ? "▲" : "▼";
  const net = `threshold ${bps(row.threshold_bps)}, net ${bps(row.net_edge_bps)} bps`;
  const button = element("button", { type: "button", tabIndex: -1, text: row.coin, ariaLabel: `${row.coin} ${row.side}, ${clock(row.at_ms)} UTC` });
  const node = element(
    "tr",
    {},
    element("td", { text: clock(row.at_ms), className: "quiet", title: row.signal_id }),
    element("td", { className: "name" }, button),
    element("td", { text: `${arrow} ${row.side}`, className: "quiet wide wider" }),
    element("td", { title: net }, element("span", { text: `${arrow} `, className: "quiet narrow" }), bps(row.raw_edge_bps)),
    element("td", { text: usd(row.usd), className: "quiet wide" }),
    ...[...cells].map(([offsetMs, cell]) => element("td", { className: width(offsetMs, wanted) }, cell)),
    element("td", {}, trip),
  );
  node.dataset.id = row.signal_id;
  const parts = { row: node, cells, trip };
  rowParts.set(row.signal_id, parts);
  return parts;
}

function fill(parts, row) {
  for (const cell of row.cells) {
    const node = parts.cells.get(cell.offset_ms);
    setClass(node, `cell ${cell.outcome ?? "open"}`);
    setText(node, outcome(cell));
    setTitle(node, explanation(cell));
  }
  const last = row.cells.at(-1);
  setText(parts.trip, trip(row, last));
  setClass(parts.trip, last?.round_trip_bps > 0 ? "good" : last?.round_trip_bps < 0 ? "bad" : "quiet");
  setTitle(parts.trip, fate(row));
}

function trip(row, last) {
  const isOpen = row.order === null ? row.cells[0]?.outcome === null : row.order === "had" && last.outcome === null;
  return isOpen ? "…" : row.order === null || row.order === "had" ? signed(last?.round_trip_bps) : words(row.order);
}

// What became of an order at the touch.
export function fate(row) {
  const after = row.cells.length ? `${row.cells[0].offset_ms / 1000} s after T0` : "";
  if (row.order === "too_small") return "below the venue's least order: left out";
  if (row.order === "not_had") return `not had: the touch was gone ${after}`;
  return row.order === "had" ? `had ${after}` : "not known whether it was had";
}

export function outcome(cell) {
  if (cell.outcome === null) return "…";
  return cell.outcome === "missed" ? words(cell.why ?? "missed").split(":")[0] : signed(cell.edge_change_bps);
}

function explanation(cell) {
  if (cell.outcome === null) return "not due yet, or not captured yet";
  if (cell.outcome === "missed") return `missed, ${words(cell.why ?? "")}`;
  return `${words(cell.outcome)}: edge now ${bps(cell.raw_edge_bps)} bps, mid ${signed(cell.markout_bps)}, round trip ${signed(cell.round_trip_bps)}`;
}
