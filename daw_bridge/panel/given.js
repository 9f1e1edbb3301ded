// Files that are given to the page, on their way to the daemon. They outlive the control that they
// were given to, which every change of the task makes anew.

import { button, h, size } from "./dom.js";
import { shown, state, tell } from "./state.js";

/** A file, what is to be said of it, and the path that stands for it once it is with the daemon. */
class Given {
  /** @param {string} name of the field @param {File} file */
  constructor(name, file) {
    this.name = name;
    this.file = file;
    this.path = "";
    this.said = `sending ${file.name}…`;
    this.unsent = false;
    this.dropped = false; // another file or a typed path has taken its place
    this.changed = () => {};
    /** @type {Promise<void>} Ends when it is sent or refused, and never fails. */
    this.sent = this.#send();
  }

  async #send() {
    const { file } = this;
    try {
      this.path = await shown(() =>
        state.client.upload(file, file.name, (share) =>
          this.#say(`sending ${file.name}: ${Math.round(100 * share)} %`),
        ),
      );
      this.#say(`${file.name}, ${size(file.size)}, is with the daemon`);
      if (!this.dropped) tell("given", { name: this.name, file });
    } catch {
      this.unsent = true; // it was shown why
      this.#say(`${file.name} was not sent`);
    }
  }

  #say(text) {
    this.said = text;
    this.changed();
  }
}

/** Where a file is given: what is said of it, and a button for one that was not sent. */
export class Place {
  /** @param {string} name of the field @param {HTMLInputElement} input of a path */
  constructor(name, input) {
    this.name = name;
    this.input = input;
    /** @type {Given | null} */
    this.given = null;
    this.taken = () => {}; // called when a file or a path was given
    this.said = h("p", { class: "given", role: "status" });
    const look = { class: "small", hidden: true };
    this.again = button("Send again", () => this.#resend(), look);
    this.parts = [this.said, this.again];
    input.addEventListener("input", () => {
      this.adopt(null);
      this.taken();
    });
  }

  /** Send a file; what was there before counts no more. @param {File} file */
  give(file) {
    const given = new Given(this.name, file);
    this.adopt(given);
    this.taken();
    return given.sent;
  }

  /** Show what was given to another control of the field. @param {Given | null} given */
  adopt(given) {
    if (this.given && this.given !== given) this.given.dropped = true;
    this.given = given;
    if (given) given.changed = () => this.given === given && this.#show();
    this.#show();
  }

  /** What was given last, once it is there; null without one. An error where it was not sent. */
  async settled() {
    let awaited;
    do await (awaited = this.given)?.sent;
    while (awaited !== this.given); // another was given meanwhile
    if (awaited?.unsent) throw new Error(awaited.said);
    return awaited;
  }

  #resend() {
    this.input.focus(); // the button goes
    if (this.given) this.give(this.given.file);
  }

  #show() {
    const { given } = this;
    this.said.textContent = given?.said ?? "";
    this.said.classList.toggle("bad", Boolean(given?.unsent));
    this.again.hidden = !given?.unsent;
    if (given) this.input.value = given.path; // empty on its way: what was there counts no more
  }
}
