// Elements without markup from text: the page's policy refuses that, and nothing needs it.

/**
 * Make an element. Attributes that begin with "on" are listeners; true and false set and leave out
 * an attribute; `class`, `dataset` and everything else is what it says.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(
    ...children
      .filter((child) => child !== null && child !== undefined && child !== false)
      .map((child) => (child instanceof Node ? child : String(child))),
  );
  return element;
}

/** @param {string} id @returns {any} the element with this id, which the page has */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** Replace the children of an element. @param {Element} parent @param {...any} children */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.filter(Boolean));
}

/**
 * Change what is in a box, and give the focus back to what was made anew: the one with the same id,
 * or the same label.
 * @param {Element} box @param {() => void} change
 */
export function keepFocus(box, change) {
  const at = document.activeElement;
  const had = at && box.contains(at) ? { id: at.id, label: at.getAttribute("aria-label") } : null;
  change();
  if (!had || document.activeElement === at) return;
  const same = (each) =>
    had.id ? each.id === had.id : each.getAttribute("aria-label") === had.label;
  const again = [...box.querySelectorAll("[id], [aria-label]")].find(same);
  if (again instanceof HTMLElement) again.focus();
}

/**
 * A button.
 * @param {string} text @param {(event: Event) => any} onclick @param {Record<string, any>} [attributes]
 */
export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

/** "3:07.5" of seconds. @param {number} seconds */
export function clock(seconds) {
  const tenths = Math.round(10 * Math.max(0, seconds)); // first, so that 59.97 is a minute
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

/** "1.2 GB" of bytes. @param {number} bytes */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (bytes >= 1000 && power < units.length - 1) {
    bytes /= 1000;
    power += 1;
  }
  return `${power && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[power]}`;
}

/** The last part of a path. @param {string} path */
export function fileName(path) {
  return path.split(/[\\/]/).pop() ?? path;
}

/**
 * A canvas' drawing context in CSS pixels, sharp on any screen, cleared.
 * @param {HTMLCanvasElement} canvas
 * @returns {{draw: CanvasRenderingContext2D, width: number, height: number}}
 */
export function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, canvas.clientWidth);
  const height = Math.max(1, canvas.clientHeight);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const draw = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  draw.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw.clearRect(0, 0, width, height);
  return { draw, width, height };
}
