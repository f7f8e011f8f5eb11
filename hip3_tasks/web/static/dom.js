// Elements without markup: what comes from elsewhere becomes text, and never anything else.

export const $ = (id) => document.getElementById(id);

export function element(tag, { text, title, className, ...more } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), more);
  if (text !== undefined) made.textContent = text;
  if (title) made.title = title;
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// Touched only where it differs: a table of 150 rows is repainted twice a second.
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
