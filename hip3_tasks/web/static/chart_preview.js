// A preview of a figure: its lines, bands and end labels, until plotly's script, some 5 MB, is loaded.

const NS = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 12, 34, 26];
const DASHES = { dot: "2 3", dash: "7 5" };

export function drawPreview(node, { data, layout }) {
  const [width, height] = [node.clientWidth, node.clientHeight];
  const x = scale(data.flatMap((trace) => trace.x), LEFT, width - RIGHT);
  const y = scale(data.flatMap((trace) => trace.y), height - BOTTOM, TOP, layout.yaxis.type === "log");
  if (!x || !y) return;
  const svg = svgElement("svg", { width, height, class: "preview" });
  for (const trace of data) {
    const { color, width: thick = 0, dash } = trace.line;
    const style = { stroke: color, "stroke-width": thick, "stroke-dasharray": DASHES[dash] ?? "none" };
    svg.append(svgElement("path", { d: path(trace, x.place, y.place), fill: trace.fillcolor ?? "none", ...style }));
  }
  for (const value of y.ends) svg.append(label(Number(value.toPrecision(3)), LEFT - 6, y.place(value) + 4, "end"));
  if (layout.xaxis.type !== "date") for (const value of x.ends) svg.append(label(value, x.place(value), height - 6, "middle"));
  node.replaceChildren(svg);
}

// Null if the values span nothing.
function scale(values, from, to, isLog = false) {
  const numbers = values.filter((value) => value !== null);
  const ends = [Math.min(...numbers), Math.max(...numbers)];
  const [first, last] = isLog ? ends.map(Math.log) : ends;
  if (!(last > first)) return null;
  return { ends, place: (value) => from + (((isLog ? Math.log(value) : value) - first) / (last - first)) * (to - from) };
}

function path({ x, y }, xPlace, yPlace) {
  let isOpen = false;
  return x.map((value, n) => {
    const isPoint = value !== null && y[n] !== null;
    const step = isPoint ? `${isOpen ? "L" : "M"}${xPlace(value).toFixed(1)} ${yPlace(y[n]).toFixed(1)}` : "";
    isOpen = isPoint;
    return step;
  }).join("");
}

function label(text, x, y, anchor) {
  const node = svgElement("text", { x, y, "text-anchor": anchor });
  node.textContent = text;
  return node;
}

function svgElement(tag, attributes) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
