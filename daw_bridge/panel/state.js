// What the page knows, in one place. Views listen for the topics that they show.

/** @typedef {import("./client.js").Client} Client */

const topics = new EventTarget();

/** @type {any} */
export const state = {
  /** @type {Client | null} */
  client: null,
  table: null, // protocol.json
  connection: "connecting",
  version: "",
  status: null, // the reply `status`
  models: [],
  jobs: new Map(), // by id: the entry, with `losses` and `preview` added
  takes: [], // newest first
  trash: [],
  chosen: null, // id of the take that is shown
  /** @type {{file: File, lengthS: number} | null} */
  clip: null, // that was given to the page last and could be decoded
  stem: "", // which of its files, "" for the mix
};

/** Call a function whenever a topic is told of. @param {string} topic @param {(detail: any) => void} heard */
export function on(topic, heard) {
  topics.addEventListener(topic, (event) => heard(/** @type {CustomEvent} */ (event).detail));
}

/** Tell of a topic. @param {string} topic @param {any} [detail] */
export function tell(topic, detail) {
  topics.dispatchEvent(new CustomEvent(topic, { detail }));
}

/**
 * Ask the daemon; what it refuses is shown as it says it, and thrown.
 * @param {string} command @param {Record<string, any>} [fields]
 */
export async function ask(command, fields) {
  return shown(() => state.client.ask(command, fields));
}

/**
 * Do something with the daemon; what it refuses is shown and thrown.
 * @template T @param {() => Promise<T>} work @returns {Promise<T>}
 */
export async function shown(work) {
  try {
    return await work();
  } catch (error) {
    tell("problem", error);
    throw error;
  }
}

/** As `shown`, for listeners that have nobody to throw to. @param {() => Promise<any>} work */
export function attempt(work) {
  return shown(work).catch(() => undefined);
}
