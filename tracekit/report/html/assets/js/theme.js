// The colours of the page: one meaning each, in light and in dark.
import {byId} from './dom.js';

export const theme = globalThis.document ? JSON.parse(byId('tk-theme').textContent) : {tokens: {}, layout: {}};
const darkly = globalThis.matchMedia ? matchMedia('(prefers-color-scheme: dark)') : {matches: false};
const changes = [];
let printing = false;

export const isPrinting = () => printing;
export const isDark = () => darkly.matches && !printing;
/** The colour behind `var(--token)` now; any other text as it is. */
export const ink = value => value.startsWith('var(--') ? theme.tokens[value.slice(4, -1)][isDark() ? 1 : 0] : value;

/** Calls back when the reader's scheme changes, and around printing, which is light. */
export function schemeChanges(act) {
  if (!changes.length) {
    const tell = () => changes.forEach(one => one());
    const forPrint = on => () => { printing = on; tell(); };
    darkly.addEventListener('change', tell);
    addEventListener('beforeprint', forPrint(true));
    addEventListener('afterprint', forPrint(false));
  }
  changes.push(act);
}

/** Plotly data with each `var(--token)` replaced by its colour. */
export function resolve(value) {
  if (typeof value === 'string') return ink(value);
  if (Array.isArray(value)) return value.map(resolve);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v)]));
  return value;
}
