// Elements: makes and changes DOM nodes. Text goes in as text nodes only: nothing that a service says becomes markup.

/**
 * Make an element.
 * @param {string} tag its name, with classes after dots: "span.badge.error"
 * @param {Object<string, *>} [given] on… are listeners, data is a dataset, others are properties or attributes
 * @param {...(Node|string|number|null|false|Array)} children nodes, or text
 */
export function element(tag, given = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "data") Object.assign(made.dataset, value);
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key.includes("-") || key === "role" || key === "for") made.setAttribute(key, value);
    else made[key] = value;
  }
  add(made, children);
  return made;
}

function add(parent, children) {
  for (const child of children.flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

/** Replace what an element holds. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  add(parent, children);
}

/** Set an element's text, unless it is that already: an equal text costs no layout. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Set or take away an attribute, unless it is so already. */
export function mark(target, name, value) {
  if (value === null || value === false || value === undefined) {
    if (target.hasAttribute(name)) target.removeAttribute(name);
  } else if (target.getAttribute(name) !== String(value)) target.setAttribute(name, value);
}

/** Find an element of the page by id. */
export function one(id) {
  return document.getElementById(id);
}
