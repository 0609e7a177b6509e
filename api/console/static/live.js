/* One stream of events for all tabs of a browser: who holds the lock listens and tells the others,
   since a browser opens few connections to one server. */
import { refresh } from "./pages.js";

const AT_ONCE_MS = 250, LATER_MS = 1_500, AGAIN_MS = 3_000;
const main = document.getElementById("main");
let timer = 0, due = 0, running = false, cost = 0, last = 0, lost = false;

function wanted(event) {
  const mine = main.dataset.live;
  if (mine === undefined) return null;
  const kinds = main.dataset.kinds;
  if (kinds && !kinds.split(" ").includes(event.kind)) return null;
  return mine === "" || event.conversation_id === mine || event.conversation_id === "" ? AT_ONCE_MS : LATER_MS;
}

/* The busier the server, the longer the pause: a refresh never takes more than half of the time. */
function plan(pause) {
  const at = Math.max(last + Math.max(pause, cost), Date.now());
  if (timer && due <= at) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(run, at - Date.now());
}

async function run() {
  timer = 0;
  if (running) return plan(AT_ONCE_MS);
  running = true;
  const began = Date.now();
  try {
    await refresh();
    connected(true);
  } catch {
    plan(AGAIN_MS);
  } finally {
    running = false;
    last = Date.now();
    cost = last - began;
  }
}

export function connected(yes) {
  const line = document.getElementById("link");
  line.textContent = yes ? "" : document.body.dataset.offline;
  line.hidden = yes;
}

function heard(event) {
  if (event.kind === "goodbye") return location.reload();
  if (event.kind === "hello" || event.kind === "open") return undefined;
  if (event.kind === "reset") return plan(AT_ONCE_MS);
  const pause = wanted(event);
  if (pause !== null) plan(pause);
}

function listen(tell) {
  const after = main.dataset.after;
  const source = new EventSource("/api/desk/events" + (after ? "?after=" + after : ""));
  const each = (kind) => (message) => {
    let told = {};
    try { told = JSON.parse(message.data) || {}; } catch { /* a ping */ }
    tell({ conversation_id: "", kind, ...told });
  };
  for (const kind of ["message", "hello", "reset", "goodbye", "queued", "assigned", "taken", "transferred", "draft", "note",
    "resolved", "reopened", "rating", "presence", "mode", "overdue"]) source.addEventListener(kind, each(kind));
  source.addEventListener("open", () => {
    main.dataset.listening = "";
    tell({ kind: "open" });
    if (lost) tell({ kind: "reset" });
    lost = false;
    connected(true);
  });
  source.addEventListener("error", () => {
    lost = true;
    connected(false);
    if (source.readyState !== EventSource.CLOSED) return;
    tell({ kind: "reset" }); // the page learns why, e.g. that nobody is signed in any more
    setTimeout(() => listen(tell), AGAIN_MS);
  });
}

export function start() {
  if (main?.dataset.live === undefined) return;
  document.addEventListener("visibilitychange", () => { if (!document.hidden) plan(AT_ONCE_MS); });
  if (!navigator.locks || !window.BroadcastChannel) return listen(heard);
  const channel = new BroadcastChannel("kefu-desk:" + document.body.dataset.agent);
  channel.addEventListener("message", (message) => {
    main.dataset.listening = "";
    heard(message.data);
  });
  plan(LATER_MS); // what happened between the page and the first event that another tab tells
  navigator.locks.request("kefu-desk:" + document.body.dataset.agent, () => {
    listen((event) => {
      heard(event);
      channel.postMessage(event);
    });
    return new Promise(() => {}); // until the tab is closed
  });
}
