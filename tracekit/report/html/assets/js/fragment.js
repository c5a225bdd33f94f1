// Where the reader is, in the address: #SECTION?key=value&key=value

/** {anchor, state} of a fragment; what cannot be read is left out. */
export function parse(fragment) {
  const text = fragment.replace(/^#/, '');
  const cut = text.indexOf('?');
  const anchor = decoded(cut < 0 ? text : text.slice(0, cut));
  const state = {};
  for (const part of cut < 0 ? [] : text.slice(cut + 1).split('&')) {
    const at = part.indexOf('=');
    if (at > 0) state[decoded(part.slice(0, at))] = decoded(part.slice(at + 1));
  }
  return {anchor, state};
}

/** The fragment of an anchor and a state; what is null or empty says nothing. */
export function format(anchor, state = {}) {
  const said = Object.entries(state).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const query = said.map(([key, value]) => `${encodeURIComponent(key)}=${coded(value)}`).join('&');
  return `#${encodeURIComponent(anchor)}${query ? '?' + query : ''}`;
}

const coded = value => encodeURIComponent(String(value)).replace(/%2C/g, ',').replace(/%20/g, '+');
function decoded(text) {
  try { return decodeURIComponent(text.replace(/\+/g, ' ')); } catch { return text; }
}

/** Two numbers as 'low,high' gives them; null where it does not. */
export function range(text) {
  const [low, high] = (text || '').split(',').map(Number);
  return Number.isFinite(low) && Number.isFinite(high) && high > low ? [low, high] : null;
}

/** Writes where the reader is, without a step in the browser's history. */
export function remember(anchor, state) {
  try { history.replaceState(null, '', format(anchor, state)); } catch { /* a page in a sandbox has no address */ }
}
