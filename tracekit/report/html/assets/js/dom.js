// Small helpers that every module shares.

export const byId = id => document.getElementById(id);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element with these properties and children; text is text, never markup. */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (key === 'class') made.className = value;
    else if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

/** Lets the browser answer the reader before the work goes on. */
export const pause = () => new Promise(done => setTimeout(done, 0));

/** Puts text on the clipboard, also where the page is a file and the browser offers no other way. */
export async function copyText(text, from) {
  try { await navigator.clipboard.writeText(text); } catch {
    const box = document.createElement('textarea');
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand('copy');
    box.remove();
    from?.focus();
  }
}

/** Opens everything around an element, so that it can be seen. */
export function reveal(element) {
  for (let at = element.parentElement; at; at = at.parentElement) {
    if (at.tagName === 'DETAILS') at.open = true;
    if (at.classList.contains('folded')) at.dispatchEvent(new CustomEvent('unfold'));
  }
}

/** Makes the tables of a fold that was never opened. */
export function unpackFold(fold) {
  const waiting = fold.querySelector(':scope > template.fold');  // not the rows that wait
  if (waiting) waiting.replaceWith(waiting.content);
}

export const words = text => text.trim().toLowerCase().split(/\s+/).filter(Boolean);
export const plain = text => text.replace(/\s+/g, ' ').trim();
