// What is chosen in the picture, as a filter of every table on the page.
import {all, make} from './dom.js';
import {filterAll, rowText} from './tables.js';
import {plural} from './units.js';

let bar = null;

/** Filters all tables to a text; '' shows all again. */
export function filterTables(text, kind = '') {
  if (!text && !bar) return;
  const [rows, tables] = filterAll(text);
  markFolds(text);
  if (!text) { bar.hidden = true; return; }
  bar ||= made();
  bar.hidden = false;
  const found = rows ? `${plural(rows, 'row')} of ${plural(tables, 'table')}` : 'no row of any table';
  bar.querySelector('span').replaceChildren(`Tables show ${kind ? kind + ' ' : ''}`, make('b', {}, text.length > 90 ? text.slice(0, 89) + '…' : text), `: ${found}.`);
}

function made() {
  const clear = () => filterTables('');
  const own = make('div', {class: 'filterbar', role: 'status'}, make('span'), make('button', {type: 'button', onclick: clear}, 'Show all'));
  document.addEventListener('unfilter', clear);
  document.body.append(own);
  return own;
}

/** Says on folds how many of the rows that wait in them hold the text. */
function markFolds(text) {
  const term = text.replace(/\s+/g, ' ').trim().toLowerCase();
  for (const fold of all('details.more')) {
    const waiting = fold.querySelector(':scope > template.fold'), summary = fold.querySelector('summary');
    summary.querySelector('.hits')?.remove();
    if (!term || !waiting) continue;
    const found = all('tbody tr', waiting.content).concat(all('template', waiting.content).flatMap(rest => all('tr', rest.content)))
      .filter(row => rowText(row).includes(term)).length;
    if (found) summary.append(make('span', {class: 'hits'}, ` (${plural(found, 'row')} in here)`));
  }
}

