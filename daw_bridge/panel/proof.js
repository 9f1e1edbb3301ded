// How the page gets the token, keeps it, and finds out whom it may show it to.

const KEPT = "daw-bridge-token";
// As `registration.py` has them.
const SALT = "daw-bridge proof";
const ROUNDS = 200_000;

/**
 * The token: from the part of the address that is never sent, which is then taken away, or from
 * before in this tab.
 * @returns {string | null}
 */
export function ownToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", location.pathname);
  }
  return given ?? sessionStorage.getItem(KEPT);
}

/** Forget a token that is not the daemon's. */
export function forgetToken() {
  sessionStorage.removeItem(KEPT);
}

/**
 * Whether who listens on our port knows the token already. After a daemon has gone, another user of
 * the machine could have taken its port; they are not told.
 * @param {string} token
 */
export async function isOurDaemon(token) {
  const nonce = hex(crypto.getRandomValues(new Uint8Array(32)));
  const answer = await fetch(`/proof?nonce=${nonce}`, { cache: "no-store" });
  if (!answer.ok) return false;
  const { proof } = await answer.json();
  return proof === (await expected(token, `${location.port || 80}:${nonce}`));
}

async function expected(token, message) {
  const text = new TextEncoder();
  const secret = await crypto.subtle.importKey("raw", text.encode(token), "PBKDF2", false, [
    "deriveKey",
  ]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt: text.encode(SALT), iterations: ROUNDS },
    secret,
    { name: "HMAC", hash: "SHA-256", length: 256 },
    false,
    ["sign"],
  );
  return hex(new Uint8Array(await crypto.subtle.sign("HMAC", key, text.encode(message))));
}

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
