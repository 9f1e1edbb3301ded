// Editors that draw what a text field says: a lane, a form, a melody.

import { Blocks } from "./blocks.js";
import { h } from "./dom.js";
import { Lane } from "./lane.js";
import { Piano } from "./piano.js";

const KINDS = { lane: [Lane, "Draw"], form: [Blocks, "Blocks"], melody: [Piano, "Piano roll"] };

/**
 * An editor that is opened by a button.
 * @param {string} kind @param {HTMLInputElement} input the text that it draws
 * @param {{value: (name: string) => string, span: () => import("./span.js").Span}} surroundings
 *   what other fields say, and what is made anew
 * @returns {{element: HTMLElement, opener: HTMLElement, close: () => void,
 *   file?: () => File | null, raw?: () => any, restore?: (raw: any) => void}}
 */
export function editorOf(kind, input, surroundings) {
  const [Kind, words] = /** @type {[any, string]} */ (KINDS[kind]);
  const editor = new Kind(input, surroundings);
  const element = h("div", { class: "editor", hidden: true }, ...editor.parts);
  const opener = h(
    "button",
    {
      type: "button",
      class: "small",
      "aria-expanded": "false",
      "aria-label": `${words}: open the editor`,
    },
    words,
  );
  const open = (wanted) => {
    element.hidden = !wanted;
    opener.setAttribute("aria-expanded", String(wanted));
    if (wanted) editor.show();
  };
  opener.addEventListener("click", () => open(element.hidden));
  return {
    element,
    opener,
    close: () => open(false),
    file: editor.file && (() => (element.hidden ? null : editor.file())),
    raw: editor.raw && (() => ({ shown: !element.hidden, drawn: editor.raw() })),
    restore:
      editor.restore &&
      ((raw) => {
        editor.restore(raw.drawn);
        if (raw.shown) requestAnimationFrame(() => open(true));
      }),
  };
}
