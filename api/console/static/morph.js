/* Makes what is shown like what came, and leaves alone what is alike: focus, selection, scroll and
   open details stay, and a log's reader hears only what was added. */

const OWN = new Set(["INPUT", "TEXTAREA", "SELECT"]);

function isTouched(element) {
  if (element === document.activeElement) return true;
  if (element.nodeName === "SELECT") return [...element.options].some((o) => o.selected !== o.defaultSelected);
  if (element.type === "checkbox" || element.type === "radio") return element.checked !== element.defaultChecked;
  return element.value !== element.defaultValue;
}

export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.hasAttribute("data-trouble")) return; // our own script shows and hides it
  if (old.dataset.keep === "always" || (old.hasAttribute("data-keep") && keeps(old))) return;
  if (OWN.has(old.nodeName) && old.type !== "hidden" && isTouched(old)) return;
  attributes(old, fresh);
  if (old.nodeName === "TEXTAREA") old.value = fresh.value;
  else if (old.nodeName === "INPUT" && old.type !== "file") old.value = fresh.value;
  else children(old, fresh);
}

/* A form that somebody is filling in. */
function keeps(part) {
  return [...part.querySelectorAll("input, textarea, select")].some((one) => one.type !== "hidden" && isTouched(one));
}

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isOurs(old, name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isOurs(old, name)) old.setAttribute(name, value);
  }
}

function isOurs(element, name) {
  return name === "open" || (element.hasAttribute("data-opened") && name === "class") || name === "data-opened";
}

/* What stays is never moved where something in front of it can go instead: a moved box loses focus. */
function children(old, fresh) {
  const known = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
  const staying = new Set([...fresh.children].map((one) => one.id).filter(Boolean));
  const goes = (node) => !node.id || !staying.has(node.id);
  let at = old.firstChild;
  const drop = () => {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  };
  for (const child of [...fresh.childNodes]) {
    while (at && at.id && goes(at)) drop();
    const match = child.id ? known.get(child.id) : at && !at.id && at.nodeName === child.nodeName ? at : null;
    if (!match) {
      old.insertBefore(child, at);
      continue;
    }
    while (at && at !== match && goes(at)) drop();
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    morph(match, child);
  }
  while (at) drop();
}
