/* A conversation: the log follows its end, Enter sends, "/" picks a canned reply. */
import { onParts, post, say, submit } from "./pages.js";

const NEAR_PX = 140;

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is missing over plain HTTP
  return "a_" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function grow(box) {
  box.style.height = "auto";
  box.style.height = Math.min(box.scrollHeight + 2, 220) + "px";
}

class Picker {
  constructor(box, list) {
    this.box = box;
    this.list = list;
    this.at = 0;
    list.addEventListener("mousedown", (event) => {
      const item = event.target.closest("[role=option]");
      if (!item) return;
      event.preventDefault();
      this.use(item);
    });
  }
  get items() { return [...this.list.querySelectorAll("[role=option]")].filter((one) => !one.hidden); }
  get open() { return !this.list.hidden; }
  look() {
    const found = /^\/(\S*)$/.exec(this.box.value);
    const word = found ? found[1].toLowerCase() : null;
    for (const one of this.list.querySelectorAll("[role=option]")) {
      one.hidden = word === null || !one.dataset.find.toLowerCase().includes(word);
    }
    this.show(word !== null && this.items.length > 0);
    this.mark(0);
  }
  show(yes) {
    this.list.hidden = !yes;
    this.box.setAttribute("aria-expanded", String(yes));
    if (!yes) this.box.removeAttribute("aria-activedescendant");
  }
  mark(at) {
    const items = this.items;
    this.at = items.length ? (at + items.length) % items.length : 0;
    items.forEach((one, n) => one.setAttribute("aria-selected", String(n === this.at)));
    if (!this.open || !items.length) return;
    this.box.setAttribute("aria-activedescendant", items[this.at].id);
    items[this.at].scrollIntoView({ block: "nearest" });
  }
  use(item) {
    this.box.value = item.dataset.text;
    this.show(false);
    grow(this.box);
    this.box.focus();
  }
  key(event) {
    if (!this.open) return false;
    if (event.key === "ArrowDown") this.mark(this.at + 1);
    else if (event.key === "ArrowUp") this.mark(this.at - 1);
    else if (event.key === "Enter" || event.key === "Tab") this.use(this.items[this.at]);
    else if (event.key === "Escape") this.show(false);
    else return false;
    event.preventDefault();
    return true;
  }
}

/* Keeps to the end of the log for whoever is there. */
function follow(log) {
  let near = true;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  toEnd();
  log.addEventListener("load", () => { if (near) toEnd(); }, true);
  onParts({
    before() { near = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX; },
    after() { if (near) toEnd(); },
  });
  return toEnd;
}

function compose(root, toEnd) {
  let wired = null;
  const wire = () => {
    const form = root.querySelector("form.composer");
    if (form && form !== wired) wireForm(form, toEnd);
    wired = form;
  };
  wire();
  onParts({ after: wire });
}

function wireForm(form, toEnd) {
  const box = form.querySelector("textarea"), list = form.querySelector("[role=listbox]");
  const picker = new Picker(box, list);
  const keep = "kefu.draft." + form.dataset.conversation;
  const store = (text) => { try { text ? sessionStorage.setItem(keep, text) : sessionStorage.removeItem(keep); } catch { /* not kept */ } };
  try { box.value = sessionStorage.getItem(keep) || box.value; } catch { /* not kept */ }
  let noting = false;
  const mode = (note) => {
    noting = note;
    form.classList.toggle("noting", note);
    for (const one of form.querySelectorAll("[data-mode]")) one.setAttribute("aria-pressed", String((one.dataset.mode === "note") === note));
    const kind = note ? "note" : "reply";
    form.action = form.dataset[kind];
    box.placeholder = box.dataset[kind];
    form.querySelector("[data-label]").textContent = form.querySelector("[data-label]").dataset[kind];
    box.focus();
  };
  form.addEventListener("click", (event) => {
    const one = event.target.closest("[data-mode]");
    if (one) mode(one.dataset.mode === "note");
    if (event.target.closest("[data-picks]")) {
      box.value = "/";
      box.focus();
      picker.look();
    }
  });
  box.addEventListener("input", () => {
    grow(box);
    store(box.value);
    if (!noting) picker.look();
  });
  box.addEventListener("blur", () => picker.show(false));
  box.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return; // Enter ends a word of the input method
    if (picker.key(event)) return;
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    if (box.value.trim()) form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!box.value.trim() || form.getAttribute("aria-busy") === "true") return;
    const sent = box.value;
    if (!(await submit(form))) return;
    form.querySelector("[name=message_id]").value = newId();
    if (box.value === sent) box.value = "";
    store(box.value);
    grow(box);
    toEnd();
    if (noting) mode(false);
    box.focus();
  });
  wirePictures(form, box, toEnd);
  if (!form.querySelector("[name=message_id]").value) form.querySelector("[name=message_id]").value = newId();
  grow(box);
}

/* A draft that the customer's next message made stale takes no words of the agent's with it. */
function keepEdits(root) {
  let edited = null;
  onParts({
    before() {
      const form = root.querySelector(".draft form"), box = form?.querySelector("textarea");
      const own = box && box.value !== box.defaultValue && form.getAttribute("aria-busy") !== "true";
      edited = own ? { id: form.id, text: box.value } : null;
    },
    after() {
      const box = root.querySelector(".composer textarea");
      if (!edited || !box || box.value || document.getElementById(edited.id)) return;
      box.value = edited.text;
      box.dispatchEvent(new Event("input"));
      say(root.dataset.kept);
    },
  });
}

/* A picture is chosen, or pasted, and goes out at once. */
function wirePictures(form, box, toEnd) {
  const input = form.querySelector("[data-attaches]"), trouble = form.querySelector("[data-trouble]");
  const send = async (file) => {
    const data = new FormData();
    data.append("file", file, file.name || "picture.png");
    form.setAttribute("aria-busy", "true");
    trouble.hidden = true;
    try {
      await post(input.dataset.attaches + "&message_id=" + newId(), data);
      toEnd();
    } catch (error) {
      trouble.textContent = error.told || document.body.dataset.failed;
      trouble.hidden = false;
    } finally {
      form.removeAttribute("aria-busy");
      input.value = "";
    }
  };
  input.addEventListener("change", () => { if (input.files[0]) send(input.files[0]); });
  box.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    send(file);
  });
}

export function start() {
  const root = document.querySelector(".talk");
  if (!root) return;
  const toEnd = follow(root.querySelector(".log"));
  compose(root, toEnd);
  keepEdits(root);
}
