// Plotly, dressed in the page's own colours. The figures come drawn from the server, as the report draws them.

import { drawPreview } from "./chart_preview.js";

const CONFIG = { displayModeBar: false, displaylogo: false, showSendToCloud: false, responsive: true, doubleClick: "reset" };
const drawn = new Map();

let isAskedFor = false;
let resolve;
const loaded = new Promise((found) => { resolve = found; });

// Called once there is something to look at: to run plotly's script, which is fetched by then, holds a browser up for a second or two.
export function load() {
  if (isAskedFor) return;
  isAskedFor = true;
  const script = Object.assign(document.createElement("script"), { src: "static/plotly.js" });
  script.addEventListener("load", () => resolve(window.Plotly));
  setTimeout(() => document.head.append(script));
}

export async function draw(node, figure) {
  drawn.set(node, figure);
  if (!window.Plotly) drawPreview(node, figure);
  const Plotly = await loaded;
  node.querySelector(".preview")?.remove();
  if (drawn.get(node) === figure) await Plotly.react(node, figure.data, dressed(figure.layout), CONFIG);
}

function dressed(layout) {
  const style = getComputedStyle(document.documentElement);
  const [text, line] = [style.getPropertyValue("--quiet").trim(), style.getPropertyValue("--line").trim()];
  const panel = style.getPropertyValue("--panel").trim();
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line, automargin: true, fixedrange: true };
  return {
    ...layout,
    height: undefined, // the style sheet's
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
