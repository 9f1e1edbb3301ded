// What was used last, as much of it as there is room for.

/** A map with a bound: what was not used for the longest time goes first, and one always stays. */
export class Recent {
  /** @param {number} most the most that the sizes may be together */
  constructor(most) {
    this.most = most;
    /** @type {Map<string, {value: any, size: number}>} oldest use first */
    this.kept = new Map();
  }

  /** What is kept, as something that was used. @param {string} key */
  get(key) {
    const entry = this.kept.get(key);
    if (!entry) return undefined;
    this.kept.delete(key);
    this.kept.set(key, entry);
    return entry.value;
  }

  /** What is kept, which stays as old as it was. @param {string} key */
  peek(key) {
    return this.kept.get(key)?.value;
  }

  /** Keep something. @param {string} key @param {any} value @param {number} [size] */
  set(key, value, size = 1) {
    this.kept.delete(key);
    this.kept.set(key, { value, size });
    let all = 0;
    for (const entry of this.kept.values()) all += entry.size;
    for (const [oldest, entry] of this.kept) {
      if (all <= this.most || oldest === key) break;
      this.kept.delete(oldest);
      all -= entry.size;
    }
  }

  /** Forget one. @param {string} key */
  delete(key) {
    this.kept.delete(key);
  }
}
