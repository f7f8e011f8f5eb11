// Makes elements without markup: values from outside become text and nothing else.

export const $ = (id) => document.getElementById(id);

export function element(tag, { text, title, className, ...more } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), more);
  if (text !== undefined) node.textContent = text;
  if (title) node.title = title;
  if (className) node.className = className;
  node.append(...children);
  return node;
}

// The head of a column, with its unit in a second line.
export const titled = ({ name, unit }) => (unit ? [name, element("small", { text: ` ${unit}` })] : [name]);

// These change a node only if the value differs: a table of 150 rows is updated twice a second.
export function setText(node, text) {
  if (!node.firstChild) node.textContent = text;
  else if (node.firstChild.data !== text) node.firstChild.data = text;
}

export function setClass(node, className) {
  if (node.className !== className) node.className = className;
}

export function setTitle(node, title) {
  if (node.title !== (title ?? "")) node.title = title ?? "";
}
