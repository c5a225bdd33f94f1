// Tables: sort, find, copy. Rows beyond the first few wait in a <template> until someone wants them.
import {all, byId, copyText, make, plain, words} from './dom.js';
import {remember} from './fragment.js';

const state = new Map();
const whole = {term: ''};  // what all tables of the page are filtered to
const stateOf = id => {
  if (!state.has(id)) state.set(id, {full: false, expanded: false, words: [], sorted: null, row: -1});
  return state.get(id);
};
const bodyOf = id => byId(id).tBodies[0];
const textOf = cell => plain((cell.querySelector('details.long code') || cell).textContent);

/** What a row says, in lower case. */
export const rowText = row => row.said ??= plain(row.textContent).toLowerCase();
export const tables = () => all('table[id]');
/** All rows of a table, also those that wait. */
export const rowsOf = table => [...table.tBodies[0].rows, ...(byId(table.id + '-rest')?.content.children || [])];
const hits = (row, own) => own.words.every(word => rowText(row).includes(word)) && (!whole.term || rowText(row).includes(whole.term));

function number(id) {
  const own = stateOf(id);
  if (own.numbered) return;
  own.numbered = true;
  rowsOf(byId(id)).forEach((row, place) => { row.place = place; });
}

/** Puts the rows that wait into their table. */
export function fill(id) {
  const own = stateOf(id), rest = byId(id + '-rest');
  number(id);
  if (own.full) return;
  own.full = true;
  if (rest) {
    for (const row of rest.content.children) row.hidden = true;
    bodyOf(id).append(rest.content);
  }
}

/** Shows the rows that are wanted; says how many, and where none is. */
export function show(id) {
  const own = stateOf(id), filtered = own.words.length > 0 || whole.term !== '';
  const limit = own.expanded || filtered ? Infinity : +byId(id).dataset.shown;
  let matches = 0;
  for (const row of bodyOf(id).rows) {
    const hit = hits(row, own);
    row.hidden = !hit || matches >= limit;
    matches += hit;
  }
  byId(id + '-n').textContent = filtered ? `${matches} of ${bodyOf(id).rows.length} rows` : '';
  sayNone(id, filtered && !matches);
  return matches;
}

function sayNone(id, none) {
  let said = byId(id + '-none');
  if (!none) { said?.remove(); return; }
  const own = stateOf(id), what = [own.words.join(' '), whole.term].filter(Boolean).map(text => `“${text.slice(0, 60)}”`).join(' and ');
  said ||= byId(id).closest('.scroll').insertAdjacentElement('afterend', make('p', {class: 'dim none', id: id + '-none'}));
  said.replaceChildren(`No row of this table holds ${what}. `, make('button', {type: 'button', 'data-reset': id}, 'Show all rows'));
}

/** Filters one table to words; all of them must be in a row. */
export function filter(id, text) {
  fill(id);
  stateOf(id).words = words(text);
  show(id);
}

/** Filters all tables of the page to one text; gives how many rows of how many tables hold it. */
export function filterAll(text) {
  whole.term = plain(text).toLowerCase();
  let rows = 0, tables_ = 0;
  for (const table of tables()) {
    if (whole.term && rowsOf(table).some(row => rowText(row).includes(whole.term))) fill(table.id);
    const found = show(table.id);
    if (whole.term && found) { rows += found; tables_ += 1; }
  }
  return [rows, tables_];
}

function valueOf(cell, numeric) {
  const text = textOf(cell);
  if (!numeric) return text.toLowerCase();
  const value = parseFloat(text.replace(/[,<]/g, '').replace('−', '-'));
  return Number.isNaN(value) ? -Infinity : value;
}

function sort(id, head, down) {
  fill(id);
  const column = head.cellIndex, numeric = head.classList.contains('n');
  for (const other of head.parentElement.cells) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const rows = [...bodyOf(id).rows].map(row => [valueOf(row.cells[column], numeric), row]);
  rows.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) * (down ? -1 : 1));
  bodyOf(id).append(...rows.map(pair => pair[1]));
  stateOf(id).sorted = `${column},${down ? 'down' : 'up'}`;
  show(id);
}

function cells(id) {
  fill(id);
  const own = stateOf(id), table = byId(id);
  const heads = [...table.tHead.rows[0].cells];
  const unit = head => head.querySelector('.unit')?.textContent;
  const name = head => head.querySelector('button').firstChild.textContent.trim() + (unit(head) ? ` (${unit(head)})` : '');
  const rows = [...bodyOf(id).rows].filter(row => hits(row, own));
  const value = (cell, i) => heads[i].classList.contains('n') ? textOf(cell).replace(/,/g, '').replace(/^–$/, '') : textOf(cell);
  return [heads.map(name), ...rows.map(row => [...row.cells].map(value))];
}

async function copy(button) {
  const rows = cells(button.dataset.copy);
  await copyText(rows.map(row => row.join('\t')).join('\n'), button);
  byId(button.dataset.copy + '-n').textContent = `Copied ${rows.length - 1} rows`;
}

/** Rows as CSV; a cell that a spreadsheet would run as a formula is made text. */
export function csvOf(rows) {
  const quote = text => /^[=+@\t\r]|^-[^\d.]/.test(text) ? `"'${text.replace(/"/g, '""')}"` : /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  return rows.map(row => row.map(quote).join(',')).join('\r\n') + '\r\n';
}

function download(id) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([csvOf(cells(id))], {type: 'text/csv'}));
  link.download = id.replace(/^tk-|-table$/g, '') + '.csv';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function expand(id, expanded) {
  const own = stateOf(id), button = document.querySelector(`[data-all="${CSS.escape(id)}"]`);
  fill(id);
  own.expanded = expanded;
  if (button) {
    button.setAttribute('aria-expanded', expanded);
    button.textContent = expanded ? 'Show fewer rows' : `Show all ${bodyOf(id).rows.length} rows`;
  }
  show(id);
}

/** Marks a row, by its place in the file, and brings it into sight. */
export function showRow(id, place) {
  fill(id);
  const row = [...bodyOf(id).rows].find(one => one.place === place);
  if (!row) return;
  if (row.hidden) expand(id, true);
  if (row.hidden) { byId(id + '-q') && (byId(id + '-q').value = ''); filter(id, ''); }
  mark(id, row);
  row.scrollIntoView({block: 'center'});
}

function mark(id, row) {
  for (const other of all('tr.here')) other.classList.remove('here');
  row.classList.add('here');
  stateOf(id).row = row.place;
}

function tell(id) {
  const own = stateOf(id);
  remember(id, {q: own.words.join(' '), sort: own.sorted, row: own.row >= 0 ? own.row : '', all: own.expanded ? 'yes' : ''});
}

/** Shows what an address asks of a table; false where there is none of that id. */
export function showTable(id, asked) {
  const table = byId(id);
  if (table?.tagName !== 'TABLE') return false;
  if (asked.q) { const box = byId(id + '-q'); if (box) box.value = asked.q; filter(id, asked.q); }
  const [column, way] = (asked.sort || '').split(','), head = column ? table.tHead.rows[0].cells[+column] : null;
  if (head) sort(id, head, way === 'down');
  if (asked.all) expand(id, true);
  if (asked.row) showRow(id, +asked.row);
  return true;
}

function onClick(event) {
  const button = event.target.closest('button');
  if (!button) {
    const row = event.target.closest('tbody tr'), id = row?.closest('table')?.id;
    if (id && !event.target.closest('a, summary, code') && !getSelection().toString()) { number(id); mark(id, row); tell(id); }
    return;
  }
  const head = button.closest('thead th'), data = button.dataset;
  if (head) {
    const id = head.closest('table').id, was = head.getAttribute('aria-sort');
    sort(id, head, was ? was === 'ascending' : head.classList.contains('n'));
    tell(id);
  } else if (data.copy) copy(button);
  else if (data.csv) download(data.csv);
  else if (data.all) { expand(data.all, !stateOf(data.all).expanded); tell(data.all); }
  else if (data.reset) {
    const box = byId(data.reset + '-q');
    if (box) box.value = '';
    filter(data.reset, '');
    if (whole.term) document.dispatchEvent(new CustomEvent('unfilter'));
  }
}

/** With the table's region in focus the arrow keys walk through its rows. */
function onKey(event) {
  if (!event.target.classList?.contains('scroll') || !['ArrowUp', 'ArrowDown'].includes(event.key)) return;
  const table = event.target.querySelector('table[id]');
  if (!table) return;
  number(table.id);
  const rows = [...table.tBodies[0].rows].filter(row => !row.hidden), at = rows.findIndex(row => row.classList.contains('here'));
  const row = rows[at + (event.key === 'ArrowDown' ? 1 : -1)];
  if (!row) return;
  event.preventDefault();
  mark(table.id, row);
  row.scrollIntoView({block: 'nearest'});
  byId(table.id + '-n').textContent = [...row.cells].map(textOf).join(', ').slice(0, 300);
  tell(table.id);
}

/** Listens for all tables, those that are made later too. */
export function listenToTables() {
  document.addEventListener('click', onClick);
  document.addEventListener('keydown', onKey);
  document.addEventListener('input', event => {
    const id = event.target.dataset.for;
    if (event.target.type !== 'search' || !id) return;
    filter(id, event.target.value);
    tell(id);
  });
}

/** A table that has just been made: shows what the whole page is filtered to. */
export function arrived(root) {
  for (const table of all('table[id]', root)) {
    if (whole.term) { fill(table.id); show(table.id); }
  }
}
