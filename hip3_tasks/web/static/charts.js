// Plotly in the page's own colours. The server makes the figures, in the style of the report.

import { drawPreview } from "./chart_preview.js";

const CONFIG = { displayModeBar: false, displaylogo: false, showSendToCloud: false, responsive: true, doubleClick: "reset" };
const drawn = new Map();

let isRequested = false;
let resolve;
const loaded = new Promise((callback) => { resolve = callback; });

// Called after the first drawing, because running plotly's script blocks the browser for a second or two.
export function load() {
  if (isRequested) return;
  isRequested = true;
  const script = Object.assign(document.createElement("script"), { src: "static/plotly.js" });
  script.addEventListener("load", () => resolve(window.Plotly));
  setTimeout(() => document.head.append(script));
}

export async function draw(node, figure) {
  drawn.set(node, figure);
  if (!window.Plotly) drawPreview(node, figure);
  const Plotly = await loaded;
  node.querySelector(".preview")?.remove();
  if (drawn.get(node) === figure) await Plotly.react(node, figure.data, withColours(figure.layout), CONFIG);
}

function withColours(layout) {
  const style = getComputedStyle(document.documentElement);
  const [text, line] = [style.getPropertyValue("--quiet").trim(), style.getPropertyValue("--line").trim()];
  const panel = style.getPropertyValue("--panel").trim();
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line, automargin: true, fixedrange: true };
  return {
    ...layout,
    height: undefined, // the style sheet has it
    font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: text },
    hoverlabel: { bgcolor: panel, bordercolor: line, font: { color: text } },
    margin: { ...layout.margin, l: 8, r: 8, b: 8, t: Math.max(30, layout.margin.t) },
    legend: { ...layout.legend, font: { size: 10 } },
    xaxis: { ...layout.xaxis, ...axis },
    yaxis: { ...layout.yaxis, ...axis },
  };
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [node, figure] of drawn) draw(node, { ...figure });
});
