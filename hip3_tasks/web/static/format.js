// Numbers as a trader reads them. A missing value is a dash, never a zero.

export const NONE = "–";
const decimals = new Map();
const GROUPED = new Intl.NumberFormat("en"); // created once: toLocaleString creates one per call

// All prices of a coin get as many decimals as any of them ever had, so that columns align.
export function px(coin, value) {
  if (value === null || value === undefined) return NONE;
  const text = String(value);
  const digits = text.includes("e") ? 8 : (text.split(".")[1] ?? "").replace(/^0$/, "").length;
  if (digits > (decimals.get(coin) ?? 0)) decimals.set(coin, digits);
  return value.toFixed(decimals.get(coin) ?? 0);
}

export const bps = (value, digits = 1) => (value === null || value === undefined ? NONE : value.toFixed(digits).replace("-", "−"));

export const signed = (value, digits = 1) =>
  value === null || value === undefined ? NONE : (value > 0 ? "+" : "") + bps(value, digits);

export const share = (value) => (value === null || value === undefined ? NONE : `${(100 * value).toFixed(1)} %`);

export const count = (value) => (value === null || value === undefined ? NONE : GROUPED.format(value));

export const usd = (value) => (value === null || value === undefined ? NONE : value < 100 ? value.toFixed(2) : count(Math.round(value)));

export const band = ({ low, high }) => (low === null || low === high ? NONE : `${signed(low)} to ${signed(high)}`);

export const ms = (value) =>
  value === null || value === undefined ? NONE : value < 10000 ? `${count(Math.round(value))} ms` : `${(value / 1000).toFixed(0)} s`;

export const age = (value) => (value === null || value === undefined ? NONE : `${(Math.max(0, value) / 1000).toFixed(value < 9950 ? 1 : 0)} s`);

export const horizon = (offsetMs) => (offsetMs ? `T+${offsetMs / 1000}` : "T0");

export function clock(atMs) {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? NONE : date.toISOString().slice(11, 19);
}

export const minute = (atMs) => `${new Date(atMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;

export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (value >= size) return `${(value / size).toFixed(1)} ${unit}`;
  }
  return `${value} B`;
}

export const words = (text) => text.replaceAll("_", " ");
