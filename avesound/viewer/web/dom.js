// Small things that every part of the page uses.

export function h(tag, attrs = {}, ...kids) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...kids.filter((kid) => kid != null));
  return node;
}

export function svg(tag, attrs = {}, ...kids) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  node.append(...kids);
  return node;
}

export const button = (words, act, more = {}) => h("button", { type: "button", onclick: act, ...more }, words);
export const field = (words, node) => h("label", { class: "field" }, h("span", {}, words), node);

export function option(value, words, chosen) {
  const node = h("option", { value }, words);
  node.selected = value === chosen;
  return node;
}

export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
export const seconds = (t) => `${t.toFixed(2)} s`;

// The part of a drawing's width that its axis takes, as the kernel wrote it on the drawing.
export function axisOf(node) {
  const { left, right, width } = node.querySelector("svg")?.dataset ?? { left: 0, right: 1, width: 1 };
  return [left / width, right / width];
}
