// Makes a part of the page like a fresh one from the server, changing only what differs: nothing flickers, focus and
// scrolling stay, and what somebody has typed or opened is theirs.

/** `old` becomes what `fresh` is. */
export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.dataset?.keep !== undefined) return; // a script of ours made it what it is
  attributes(old, fresh);
  if (old.localName !== "textarea") children(old, fresh);
}

function attributes(old, fresh) {
  const isOpened = old.localName === "details";
  for (const { name, value } of fresh.attributes) {
    if (isOpened && name === "open") continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(isOpened && name === "open")) old.removeAttribute(name);
  }
}

function children(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (child.dataset?.key !== undefined) keyed.set(child.dataset.key, child);
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const match = found(at, wanted, keyed);
    if (match === null) {
      old.insertBefore(document.importNode(wanted, true), at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    morph(match, wanted);
  }
  while (at !== null) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** The child that `wanted` is a newer state of: by its key, or the next one of the same kind without a key. */
function found(at, wanted, keyed) {
  const key = wanted.dataset?.key;
  if (key !== undefined) {
    const match = keyed.get(key);
    keyed.delete(key);
    return match ?? null;
  }
  if (at === null || at.nodeName !== wanted.nodeName || at.dataset?.key !== undefined) return null;
  return at;
}
