// The table of markets. Rows are created once and changed in place; their order changes rarely, and never under the pointer.

import { $, setClass, element, setTitle, setText, titled } from "./dom.js";
import { NONE, age, bps, clock, px, usd } from "./format.js";

const REORDER_INTERVAL_MS = 2000;
const BAR_SPANS = 1.5; // thresholds
const SILENT_MS = 8000;
const MAX_DARK = 3;

const COLUMNS = [
  { key: "coin", name: "Market", first: "ascending" },
  { key: "oracle_px", name: "Oracle" },
  { key: "mark_px", name: "Mark", className: "wide wider" },
  { key: "bid_px", name: "Bid", className: "wide" },
  { key: "ask_px", name: "Ask", className: "wide" },
  { key: "spread_bps", name: "Spread", unit: "bps", className: "wide" },
  { key: "buy_edge_bps", name: "Buy edge", unit: "bps" },
  { key: "sell_edge_bps", name: "Sell edge", unit: "bps" },
  { key: "usd", name: "Size", unit: "USD", title: "what the touch of the side with the greater edge is worth", className: "wide" },
  { key: "threshold_bps", name: "Thr.", unit: "bps", title: "threshold", className: "wide" },
  { key: "age_ms", name: "Received", title: "age of the last context", className: "wide" },
  { key: "session", name: "Session", className: "wide wider" },
  { key: "state", name: "State" },
];

const rowParts = new Map();
const sorting = { key: "dislocation", direction: "descending" };
let showsDelisted = false;
let orderedAtMs = 0;
let isHovered = false;

export function dislocation(row) {
  const edge = Math.max(row.buy_edge_bps ?? -Infinity, row.sell_edge_bps ?? -Infinity);
  return row.threshold_bps > 0 ? edge / row.threshold_bps : -Infinity;
}

export const touchSide = (row) => ((row.buy_edge_bps ?? -Infinity) >= (row.sell_edge_bps ?? -Infinity) ? "buy" : "sell");

export function setUp(redraw) {
  for (const column of COLUMNS) {
    const button = element("button", { type: "button", title: column.title }, ...titled(column));
    const head = element("th", { className: column.className, scope: "col" }, button);
    column.head = head;
    button.addEventListener("click", () => {
      const first = column.first ?? "descending";
      const other = first === "descending" ? "ascending" : "descending";
      sortBy(column.key, sorting.key === column.key && sorting.direction === first ? other : first);
      redraw();
    });
    $("market-columns").append(head);
  }
  $("by-edge").addEventListener("click", () => { sortBy("dislocation", "descending"); redraw(); });
  $("delisted").addEventListener("click", () => {
    showsDelisted = !showsDelisted;
    $("delisted").setAttribute("aria-pressed", showsDelisted);
    orderedAtMs = 0;
    redraw();
  });
  $("filter").addEventListener("input", () => { orderedAtMs = 0; redraw(); });
  const body = $("market-rows");
  body.addEventListener("pointerenter", (event) => { isHovered = event.pointerType === "mouse"; });
  body.addEventListener("pointerleave", () => { isHovered = false; });
}

export function draw(state) {
  drawDark(state.pipeline?.dark ?? []);
  const rows = [...state.markets.values()];
  for (const [coin, parts] of rowParts) if (!state.markets.has(coin)) { parts.row.remove(); rowParts.delete(coin); }
  for (const row of rows) fill(rowParts.get(row.coin) ?? make(row.coin), row, state);
  const now = performance.now();
  if (rowParts.size !== $("market-rows").childElementCount || (!isHovered && now - orderedAtMs > REORDER_INTERVAL_MS) || !orderedAtMs) {
    order(rows, state);
    orderedAtMs = now;
  }
}

// Some of these have no row: they are on no socket yet.
function drawDark(markets) {
  const texts = markets.map(({ coin, cause, since_ms }) => `${coin}: ${cause}, since ${clock(since_ms)} UTC`);
  const more = texts.length > MAX_DARK ? [`and ${texts.length - MAX_DARK} more`] : [];
  $("dark").hidden = !texts.length;
  setText($("dark"), `${texts.length} dark: ${[...texts.slice(0, MAX_DARK), ...more].join("; ")}`);
  setTitle($("dark"), texts.join("\n"));
}

function sortBy(key, direction) {
  Object.assign(sorting, { key, direction });
  orderedAtMs = 0;
  $("by-edge").setAttribute("aria-pressed", key === "dislocation");
  for (const column of COLUMNS) {
    if (column.key === key) column.head.setAttribute("aria-sort", direction);
    else column.head.removeAttribute("aria-sort");
  }
}

function order(rows, state) {
  const filter = $("filter").value.trim().toLowerCase();
  const value = (row) => {
    if (sorting.key === "dislocation") return dislocation(row);
    if (sorting.key === "usd") return row[`${touchSide(row)}_usd`];
    if (sorting.key === "age_ms") return row.ctx_at_ms === null ? null : state.at_ms - row.ctx_at_ms;
    return sorting.key === "session" ? row.coin : row[sorting.key];
  };
  const sign = sorting.direction === "ascending" ? 1 : -1;
  rows.sort((a, b) => compare(value(a), value(b), sign) || compare(a.coin, b.coin, 1));
  let shown = 0;
  rows.forEach((row) => {
    const parts = rowParts.get(row.coin);
    const isShown = row.coin.toLowerCase().includes(filter) && (row.state !== "delisted" || showsDelisted);
    parts.row.hidden = !isShown;
    shown += isShown;
  });
  const body = $("market-rows");
  rows.forEach((row, place) => {
    const node = rowParts.get(row.coin).row;
    if (body.children[place] !== node) body.insertBefore(node, body.children[place] ?? null);
  });
  const live = rows.filter((row) => row.state === "live").length;
  setText($("markets-count"), shown === rows.length ? `${live} live` : `${shown} shown, ${live} live`);
}

// Missing values come last in both directions.
function compare(a, b, sign) {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return noA - noB;
  return a === b ? 0 : a < b ? -sign : sign;
}

function make(coin) {
  const cells = Object.fromEntries(COLUMNS.map(({ key, className }) => [key, element("td", { className })]));
  cells.coin.textContent = coin;
  setTitle(cells.coin, coin);
  const edges = {};
  for (const key of ["buy_edge_bps", "sell_edge_bps"]) {
    edges[key] = { text: element("span"), bar: element("i") };
    cells[key].append(edges[key].text, element("span", { className: "bar" }, edges[key].bar));
  }
  const state = element("span", { className: "state" });
  cells.state.append(state);
  const parts = { cells, edges, state, row: element("tr", {}, ...COLUMNS.map(({ key }) => cells[key])) };
  parts.row.dataset.coin = coin;
  rowParts.set(coin, parts);
  return parts;
}

function fill({ cells, edges, state, row: node }, row, { at_ms: atMs, session }) {
  for (const key of ["oracle_px", "mark_px", "bid_px", "ask_px"]) setText(cells[key], px(row.coin, row[key]));
  setText(cells.spread_bps, bps(row.spread_bps));
  setText(cells.usd, usd(row[`${touchSide(row)}_usd`]));
  setText(cells.threshold_bps, bps(row.threshold_bps));
  for (const [key, { text, bar }] of Object.entries(edges)) {
    const share = row[key] === null || !(row.threshold_bps > 0) ? 0 : row[key] / row.threshold_bps;
    setText(text, bps(row[key]));
    setClass(cells[key], `edge ${share >= 1 ? "over" : share <= 0 ? "under" : ""}`);
    bar.style.transform = `scaleX(${Math.min(1, Math.max(0, share / BAR_SPANS)).toFixed(3)})`;
    setTitle(cells[key], `threshold ${bps(row.threshold_bps)} bps, taker fee ${bps(row.taker_fee_bps)}`);
  }
  const receivedMs = row.ctx_at_ms === null ? null : atMs - row.ctx_at_ms;
  setText(cells.age_ms, row.state === "delisted" ? NONE : age(receivedMs));
  setClass(cells.age_ms, receivedMs > SILENT_MS ? "wide bad" : "wide");
  setText(cells.session, row.state === "delisted" ? NONE : session.slice(0, 3));
  setTitle(cells.session, session);
  setText(state, row.state);
  setClass(state, `state ${row.state}`);
  setTitle(state, row.why);
  setClass(node, row.state);
}
