// The session: who is signed in, and what they may do.

import { makeCell, useCell } from "./cell.js";
import { Problem, forgetAnswers, get, refused, send } from "./rest.js";

const AGAIN_MS = 5000;

/**
 * `state`: `unknown` until the server has said, `in`, `out`, or `expired`: it was `in`, and the view is kept. `fault`: why it is not known.
 */
export const session = makeCell({ state: "unknown", name: "", scopes: [], fault: null });

/** Ask the server who we are, until it has said. */
export async function findSession() {
  try {
    const { name, scopes } = await get("/sessions");
    session.set({ state: "in", name, scopes, fault: null });
  } catch (error) {
    if (error instanceof Problem && error.status < 500) {
      leave(session.get().state === "in" ? "expired" : session.get().state === "expired" ? "expired" : "out");
      return;
    }
    session.set({ ...session.get(), fault: error });
    setTimeout(findSession, AGAIN_MS);
  }
}

/** Change an API key for a session. Throws what the server refuses. */
export async function signIn(key) {
  await send("POST", "/sessions", { key });
  forgetAnswers();
  await findSession();
}

/** End the session, on the server too. Throws when that fails. */
export async function signOut() {
  await send("DELETE", "/sessions");
  forgetAnswers();
  leave("out");
}

function leave(state) {
  session.set({ ...session.get(), state, fault: null });
}

refused.watch(() => {
  if (session.get().state === "in") leave("expired");
});

/** Whether the caller has `scope`, in a component. What may not be done is not shown. */
export function useMay(scope) {
  return useCell(session).scopes.includes(scope);
}
