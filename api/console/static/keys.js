/* Shortcuts of one key, never while somebody writes; they can be switched off (WCAG 2.1.4). */
const OFF = "kefu.keys_off";
let going = 0;

function off() { try { return localStorage.getItem(OFF) === "1"; } catch { return false; } }

function writes(target) {
  return target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
}

function rows() { return [...document.querySelectorAll("[data-row]")].filter((one) => one.offsetParent); }

function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement.closest?.("[data-row]"));
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function press(selector) {
  const found = [...document.querySelectorAll(selector)].find((one) => one.offsetParent || one.tagName === "DETAILS");
  if (!found) return false;
  if (found.matches("input, textarea, select")) found.focus();
  else if (found.tagName === "SUMMARY") {
    found.click();
    found.parentElement.querySelector(".sheet-up button, .sheet-up select, .sheet-up input:not([type=hidden])")?.focus();
  } else found.click();
  return true;
}

const ACTS = { j: () => step(1), k: () => step(-1), "?": () => document.getElementById("help").showModal() };

function onKey(event) {
  if (event.key === "Escape") return escape(event);
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (off() || writes(event.target) || document.querySelector("dialog[open]")) return;
  const key = event.key;
  if (going) {
    clearTimeout(going);
    going = 0;
    if (press(`[data-go="${CSS.escape(key)}"]`)) event.preventDefault();
    return;
  }
  if (key === "g") {
    going = setTimeout(() => { going = 0; }, 1_200);
    return;
  }
  if (ACTS[key]) {
    event.preventDefault();
    ACTS[key]();
  } else if (key.length === 1 && press(`[data-key="${CSS.escape(key)}"]`)) {
    event.preventDefault();
  }
}

function escape(event) {
  const menu = event.target.closest?.("details.menu[open]") || document.querySelector("details.menu[open]");
  if (menu) {
    menu.removeAttribute("open");
    menu.querySelector("summary").focus();
  } else if (writes(event.target) && !event.defaultPrevented) {
    event.target.blur();
  }
}

function since() {
  const now = Date.now() / 1000;
  for (const one of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.floor(now - Number(one.dataset.since)));
    const [name, size] = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]].find(([, s]) => seconds >= s) || ["second", 1];
    const text = document.getElementById("spans").dataset[name].replace("{count}", Math.floor(seconds / size));
    if (one.textContent !== text) one.textContent = text;
  }
  for (const one of document.querySelectorAll("[data-due]")) one.classList.toggle("late", Number(one.dataset.due) < now);
}

export function start() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens).showModal();
    if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
    if (event.target.tagName === "DIALOG") event.target.close();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    }
    const side = event.target.closest("[data-toggles]");
    if (side) toggle(document.getElementById(side.dataset.toggles), side);
  });
  const menu = document.getElementById("menu");
  menu?.addEventListener("click", () => toggle(document.getElementById("rail"), menu));
  const box = document.getElementById("keys-on");
  if (box) {
    box.checked = !off();
    box.addEventListener("change", () => {
      try { localStorage.setItem(OFF, box.checked ? "0" : "1"); } catch { /* for this page only */ }
    });
  }
  since();
  setInterval(since, 1_000);
}

function toggle(element, button) {
  const open = element.classList.toggle("open");
  element.toggleAttribute("data-opened", open);
  button.setAttribute("aria-expanded", String(open));
}
