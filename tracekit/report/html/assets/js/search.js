// Search over the whole page: sections, findings, definitions, every row, every node of the picture.
import {all, byId, make, plain, reveal, unpackFold, words} from './dom.js';
import {parts} from './parts.js';
import {showRow, tables} from './tables.js';
import {duration, plural} from './units.js';

const MOST = 40;
const WEIGHT = {section: 6, finding: 5, table: 4, chart: 4, picture: 3, row: 2, definition: 1};

/** How well an entry fits words: 0 where one of them is not in it. */
export function score(entry, asked) {
  let sum = WEIGHT[entry.kind] || 1;
  for (const word of asked) {
    const at = entry.lower.indexOf(word);
    if (at < 0) return 0;
    sum += (at === 0 ? 4 : /[\w]/.test(entry.lower[at - 1]) ? 0 : 2) + 20 / (20 + entry.lower.length);
  }
  return sum;
}

/** The entries that fit, the best first, and how many there are. */
export function found(entries, text, most = MOST) {
  const asked = words(text);
  if (!asked.length) return [[], 0];
  const fit = entries.map(entry => [score(entry, asked), entry]).filter(([value]) => value > 0);
  fit.sort((a, b) => b[0] - a[0]);
  return [fit.slice(0, most).map(([, entry]) => entry), fit.length];
}

const entry = (kind, text, where, go) => ({kind, text, lower: text.toLowerCase(), where, go});

function index() {
  all('details.more').forEach(unpackFold);  // search asks for everything; made once
  const title = element => plain(element.closest('section')?.querySelector('h2')?.textContent || '');
  const goTo = element => () => { reveal(element); element.scrollIntoView({block: 'center'}); flash(element); };
  const out = all('main h2').map(head => entry('section', plain(head.textContent), '', goTo(head)));
  out.push(...all('.finds > li').map(item => entry('finding', plain(item.firstChild ? item.textContent : ''), title(item), goTo(item))));
  out.push(...all('main h3').map(head => entry(head.closest('figure') ? 'chart' : 'table', plain(head.textContent), title(head), goTo(head))));
  out.push(...all('dl.facts dt').map(name => entry('definition', `${plain(name.textContent)}: ${plain(name.nextElementSibling?.textContent || '')}`, title(name), goTo(name))));
  for (const table of tables()) {
    const where = plain(byId(table.getAttribute('aria-labelledby'))?.textContent || '');
    const rows = [...table.tBodies[0].rows, ...(byId(table.id + '-rest')?.content.children || [])];
    rows.forEach((row, place) => out.push(entry('row', [...row.cells].map(cell => plain((cell.querySelector('details.long code') || cell).textContent)).join(' · '), where,
      () => { reveal(table); showRow(table.id, row.place ?? place); })));
  }
  for (const part of parts) out.push(...(part.find?.() || []).map(node => entry('picture', node.text, `${node.kind}, ${duration(node.ns)}`, node.go)));
  return out;
}

function flash(element) {
  element.classList.add('flash');
  setTimeout(() => element.classList.remove('flash'), 1600);
}

/** The search box at the top of the contents; '/' leads to it. */
export function listenToSearch() {
  const input = make('input', {type: 'search', id: 'tk-search', role: 'combobox', 'aria-expanded': 'false', 'aria-controls': 'tk-found',
    'aria-autocomplete': 'list', autocomplete: 'off', placeholder: 'Search this page  /', 'aria-label': 'Search this page'});
  const list = make('ul', {id: 'tk-found', role: 'listbox', 'aria-label': 'What was found', hidden: ''});
  const status = make('p', {class: 'vh', role: 'status'});
  const box = make('div', {class: 'find'}, input, status, list);
  document.querySelector('nav b').insertAdjacentElement('afterend', box);
  let entries = null, shown = [], at = -1;

  const open = on => {
    const {left, bottom} = input.getBoundingClientRect();  // the contents scroll by themselves: it must stand out of them
    list.style.left = left + 'px';
    list.style.top = bottom + 4 + 'px';
    list.hidden = !on; input.setAttribute('aria-expanded', on);
    if (!on) input.removeAttribute('aria-activedescendant');
  };
  const pick = to => {
    at = shown.length ? (to + shown.length) % shown.length : -1;
    [...list.querySelectorAll('[role=option]')].forEach((item, i) => item.setAttribute('aria-selected', i === at));
    if (at < 0) return;
    input.setAttribute('aria-activedescendant', `tk-found-${at}`);
    byId(`tk-found-${at}`).scrollIntoView({block: 'nearest'});
  };
  const go = place => { open(false); input.blur(); shown[place]?.go(); };
  const look = () => {
    entries ||= index();
    const [best, count] = found(entries, input.value);
    shown = best;
    const items = best.map((one, i) => make('li', {role: 'option', id: `tk-found-${i}`, onpointerdown: event => { event.preventDefault(); go(i); }},
      make('span', {class: 'kind'}, one.kind), make('span', {class: 'what'}, one.text.slice(0, 160)), one.where ? make('span', {class: 'dim'}, one.where) : null));
    const asked = input.value.trim();
    status.textContent = asked ? count ? plural(count, 'place') + ' found' : 'Nothing found' : '';
    if (asked && !count) items.push(make('li', {class: 'dim', role: 'option', 'aria-disabled': 'true'}, `Nothing on this page holds “${asked.slice(0, 60)}”.`));
    if (count > best.length) items.push(make('li', {class: 'dim', role: 'option', 'aria-disabled': 'true'}, `and ${plural(count - best.length, 'more place')}: add a word.`));
    list.replaceChildren(...items);
    open(items.length > 0);
    pick(0);
  };
  input.addEventListener('input', look);
  input.addEventListener('focus', () => input.value && look());
  input.addEventListener('blur', () => open(false));
  input.addEventListener('keydown', event => {
    if (event.key === 'ArrowDown') pick(at + 1);
    else if (event.key === 'ArrowUp') pick(at - 1);
    else if (event.key === 'Enter') go(at);
    else if (event.key === 'Escape') { open(false); input.blur(); } else return;
    event.preventDefault();
  });
  document.addEventListener('keydown', event => {
    const typing = event.target.closest?.('input, textarea, select, [contenteditable]');
    if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
}
