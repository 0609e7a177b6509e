/* Forms and links without leaving the page: what comes back is the page, and its parts are taken. */
import { morph } from "./morph.js";

const HEADER = { "X-Console": "1" };
const listeners = [];

/* ``told``: what the service said, for people. */
export class Refused extends Error {
  constructor(told) {
    super(told);
    this.told = told;
  }
}

export function onParts(listener) { listeners.push(listener); }

export function say(text, bad = false) {
  if (!text) return;
  const toast = document.createElement("div");
  toast.className = bad ? "toast bad" : "toast";
  toast.textContent = text;
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), bad ? 8_000 : 4_000);
}

export function csrf() { return document.body.dataset.csrf; }

export async function refresh() {
  const response = await fetch(location.href, { headers: HEADER, credentials: "same-origin" });
  await take(response);
}

export async function post(address, body) {
  const response = await fetch(address, {
    method: "POST", body, credentials: "same-origin", headers: { ...HEADER, "X-CSRF-Token": csrf() },
  });
  await take(response, true);
}

async function take(response, sent = false) {
  if (!response.ok) throw await refusal(response);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!fresh.body.dataset.csrf) return location.assign(document.body.dataset.signIn);
  const there = new URL(response.url);
  if (sent && response.redirected && there.pathname !== location.pathname) return location.assign(there);
  document.body.dataset.csrf = fresh.body.dataset.csrf;
  document.title = fresh.title;
  show(fresh);
  if (sent) say(fresh.body.dataset.said);
}

function show(fresh) {
  const focused = document.activeElement;
  for (const listener of listeners) listener.before?.();
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = part.isConnected && fresh.getElementById(part.id);
    if (other) morph(part, document.importNode(other, true));
  }
  for (const listener of listeners) listener.after?.();
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

async function refusal(response) {
  let told = null;
  try { told = await response.json(); } catch { /* a proxy may answer in HTML */ }
  if (response.status === 401) location.assign(document.body.dataset.signIn);
  return new Refused((told && (told.message || told.error?.message)) || document.body.dataset.failed);
}

export async function submit(form, submitter) {
  const data = new FormData(form, submitter);
  const buttons = [...form.querySelectorAll("button")].filter((one) => !one.disabled);
  const address = submitter?.formAction && submitter.hasAttribute("formaction") ? submitter.formAction : form.action;
  const trouble = form.querySelector("[data-trouble]");
  buttons.forEach((one) => { one.disabled = true; });
  form.setAttribute("aria-busy", "true");
  if (trouble) trouble.hidden = true;
  try {
    const body = form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
    await post(address, body);
    form.closest("details.menu")?.removeAttribute("open");
    if (form.hasAttribute("data-empties") && form.isConnected) form.reset();
    return true;
  } catch (error) {
    const text = error.told || document.body.dataset.failed;
    if (trouble) {
      trouble.textContent = text;
      trouble.hidden = false;
    } else {
      say(text, true);
    }
    return false;
  } finally {
    buttons.forEach((one) => { one.disabled = false; });
    form.removeAttribute("aria-busy");
  }
}

export function start() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.hasAttribute("data-send") || event.defaultPrevented) return;
    event.preventDefault();
    if (form.getAttribute("aria-busy") !== "true") submit(form, event.submitter);
  });
  document.addEventListener("change", (event) => {
    if (event.target.hasAttribute("data-sends")) event.target.form.requestSubmit();
  });
  say(document.body.dataset.said);
  const here = new URL(location.href);
  if (here.searchParams.has("said")) {
    here.searchParams.delete("said");
    history.replaceState(null, "", here);
  }
}
