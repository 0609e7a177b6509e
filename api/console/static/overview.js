/* Figures change without anybody doing anything at the desk: look again while somebody looks on. */
import { refresh } from "./pages.js";

const EVERY_MS = 15_000;

async function again() {
  try {
    if (!document.hidden) await refresh();
  } catch { /* the next look may find the service */ }
  setTimeout(again, EVERY_MS);
}

setTimeout(again, EVERY_MS);
