(() => {
'use strict';
const byId = id => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---------------------------------------------------------------- tables
// Rows beyond the first few wait in a <template>: they cost nothing until someone wants them.
const state = new Map();
const stateOf = id => {
  if (!state.has(id)) state.set(id, {full: false, expanded: false, words: []});
  return state.get(id);
};
const bodyOf = id => byId(id).tBodies[0];

function fill(id) {
  const own = stateOf(id), rest = byId(id + '-rest');
  if (own.full) return;
  own.full = true;
  if (rest) {
    for (const row of rest.content.children) row.hidden = true;
    bodyOf(id).append(rest.content);
  }
  for (const row of bodyOf(id).rows) row.words = row.textContent.toLowerCase();
}

function show(id) {
  const own = stateOf(id), limit = own.expanded || own.words.length ? Infinity : +byId(id).dataset.shown;
  let matches = 0;
  for (const row of bodyOf(id).rows) {
    const hit = own.words.every(word => row.words.includes(word));
    row.hidden = !hit || matches >= limit;
    matches += hit;
  }
  byId(id + '-n').textContent = own.words.length ? `${matches} of ${bodyOf(id).rows.length} rows` : '';
}

const textOf = cell => (cell.querySelector('code') || cell).textContent.trim().replace(/\s+/g, ' ');
function valueOf(cell, numeric) {
  const text = textOf(cell);
  if (!numeric) return text.toLowerCase();
  const value = parseFloat(text.replace(/[,<]/g, '').replace('−', '-'));
  return Number.isNaN(value) ? -Infinity : value;
}

function sort(id, head) {
  fill(id);
  const column = head.cellIndex, numeric = head.classList.contains('n'), was = head.getAttribute('aria-sort');
  const down = was ? was === 'ascending' : numeric;
  for (const other of head.parentElement.cells) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const rows = [...bodyOf(id).rows].map(row => [valueOf(row.cells[column], numeric), row]);
  rows.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) * (down ? -1 : 1));
  bodyOf(id).append(...rows.map(pair => pair[1]));
  show(id);
}

function cells(id) {
  fill(id);
  const own = stateOf(id), table = byId(id);
  const heads = [...table.tHead.rows[0].cells];
  const unit = head => head.querySelector('.unit')?.textContent;
  const name = head => head.querySelector('button').firstChild.textContent.trim() + (unit(head) ? ` (${unit(head)})` : '');
  const rows = [...bodyOf(id).rows].filter(row => own.words.every(word => row.words.includes(word)));
  const plain = (cell, i) => heads[i].classList.contains('n') ? textOf(cell).replace(/,/g, '').replace(/^–$/, '') : textOf(cell);
  return [heads.map(name), ...rows.map(row => [...row.cells].map(plain))];
}

async function copy(button) {
  const rows = cells(button.dataset.copy);
  const text = rows.map(row => row.join('\t')).join('\n');
  try { await navigator.clipboard.writeText(text); } catch {
    const box = document.createElement('textarea');
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand('copy');
    box.remove();
    button.focus();
  }
  byId(button.dataset.copy + '-n').textContent = `Copied ${rows.length - 1} rows`;
}

function csv(button) {
  // a cell that a spreadsheet would run as a formula is made text
  const quote = text => /^[=+@\t\r]|^-[^\d.]/.test(text) ? `"'${text.replace(/"/g, '""')}"` : /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  const text = cells(button.dataset.csv).map(row => row.map(quote).join(',')).join('\r\n') + '\r\n';
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'text/csv'}));
  link.download = button.dataset.csv.replace(/^tk-|-table$/g, '') + '.csv';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

document.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button) return;
  const head = button.closest('thead th');
  if (head) sort(head.closest('table').id, head);
  else if (button.dataset.copy) copy(button);
  else if (button.dataset.csv) csv(button);
  else if (button.dataset.all) {
    const id = button.dataset.all, own = stateOf(id);
    fill(id);
    own.expanded = !own.expanded;
    button.setAttribute('aria-expanded', own.expanded);
    button.textContent = own.expanded ? 'Show fewer rows' : `Show all ${bodyOf(id).rows.length} rows`;
    show(id);
  } else if (button.dataset.unit) unit(button);
  else if (button.dataset.zoom) zoom(button);
});
document.addEventListener('input', event => {
  const input = event.target, id = input.dataset.for;
  if (input.type !== 'search') return;
  fill(id);
  stateOf(id).words = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  show(id);
});
// folded tables are made when they are unfolded: a page of thirty tables stays light
all('details.more').forEach(fold => fold.addEventListener('toggle', () => {
  const waiting = fold.querySelector(':scope > template.fold');  // not the rows that wait
  if (waiting) waiting.replaceWith(waiting.content);
}));

// ---------------------------------------------------------------- charts
const theme = JSON.parse(byId('tk-theme').textContent);
const darkly = matchMedia('(prefers-color-scheme: dark)');
let printing = false;
const isNarrow = () => innerWidth < 600;

function resolve(value, dark) {
  if (typeof value === 'string') return value.startsWith('var(--') ? theme.tokens[value.slice(4, -1)][dark] : value;
  if (Array.isArray(value)) return value.map(item => resolve(item, dark));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v, dark)]));
  return value;
}
function merge(base, over) {
  const out = {...base};
  for (const [key, value] of Object.entries(over)) {
    const both = [out[key], value].every(v => v && typeof v === 'object' && !Array.isArray(v));
    out[key] = both ? merge(out[key], value) : value;
  }
  return out;
}

// the same bars as shares of their row
function shares(data, layout) {
  const totals = [];
  for (const trace of data) trace.x.forEach((v, i) => { totals[i] = (totals[i] || 0) + (v || 0); });
  for (const trace of data) {
    trace.x = trace.x.map((v, i) => v === null || !totals[i] ? null : 100 * v / totals[i]);
    trace.text = trace.x.map(v => v ? `${v.toFixed(v < 10 ? 1 : 0)} %` : '');
  }
  layout.xaxis = {...layout.xaxis, title: {text: '% of the row'}, range: [0, 100]};
}

// escaped text cut to what this width holds, never inside an entity
function fit(text, width) {
  const most = Math.floor((width - 30) / 7.2);
  return text.length > most ? text.slice(0, most - 1).replace(/&[^;]*$/, '') + '…' : text;
}

// where there is no room beside the bars, the names of the rows stand above them
function namesAbove(layout, width) {
  const axis = layout.yaxis, rows = axis.ticktext;
  layout.yaxis = {...axis, showticklabels: false};
  const step = (layout.height - 66) / rows.length;
  layout.height = 66 + rows.length * (step + 18);
  layout.bargap = 1 - (step * (1 - layout.bargap)) / (step + 18) * 0.9;
  layout.margin = {...layout.margin, l: 8, t: 6};
  layout.annotations = [...(layout.annotations || []), ...rows.map((text, i) => ({
    x: 0, xref: 'paper', y: i - 0.5, text: fit(text, width),
    xanchor: 'left', yanchor: 'top', showarrow: false, font: {size: 12},
  }))];
}

// names that fit into their blocks; what is too long for its block is cut, what has no room is left out
function named(data, [low, high], width) {
  return data.map(trace => trace.base && trace.text ? {...trace, text: trace.text.map((text, i) => {
    const start = Math.max(trace.base[i], low), end = Math.min(trace.base[i] + trace.x[i], high);
    const most = Math.floor((end - start) / (high - low) * width / 6.6) - 1;
    return text.length <= most ? text : most < 5 ? '' : text.slice(0, most - 1).replace(/&[^;]*$/, '') + '…';
  })} : trace);
}

// on paper hatching is a lighter tint: browsers print each hatched bar as a picture of its own
const TINTS = {'': 1, '/': .6, 'x': .36, '.': .48, '\\': .74, '|': .3, '-': .42, '+': .54};
function tinted(data) {
  return data.map(trace => {
    if (!(trace.marker && trace.marker.pattern)) return trace;
    const {pattern, ...marker} = trace.marker, tint = shape => TINTS[shape] || 1;
    marker.opacity = Array.isArray(pattern.shape) ? pattern.shape.map(tint) : tint(pattern.shape);
    return {...trace, marker};
  });
}

function draw(box) {
  const chart = JSON.parse(byId(box.dataset.chart).textContent);
  const dark = darkly.matches && !printing ? 1 : 0, narrow = isNarrow() && !printing;
  const kind = (chart.layout.meta || {}).kind;
  const width = printing ? 680 : box.clientWidth;
  let {data, layout} = chart;
  layout = merge(theme.layout, layout);
  layout.showlegend = false;
  if (box.dataset.unit === 'pct') shares(data, layout);
  // a chart with numbers of its own for each unit
  const own = (chart.layout.meta?.variants || {})[box.dataset.unit];
  if (own) { data = data.map((trace, i) => ({...trace, ...own.data[i]})); layout = merge(layout, own.layout); }
  if (narrow) {
    layout.margin = {...layout.margin, l: Math.min(layout.margin.l, 44), r: 8};
    const [low, high] = layout.xaxis.range || [];  // numbers beside bars need more of a small width
    if (chart.layout.meta.beside) layout.xaxis.range = [low, high + 0.3 * (high - low)];
    if (kind === 'tracks') layout.annotations = layout.annotations.map(note => ({...note, text: fit(note.text, width)}));
  }
  if (kind === 'rows' && (narrow || Math.max(...layout.yaxis.ticktext.map(t => t.length)) * 7 > 0.4 * width)) namesAbove(layout, width);
  if (box.range) layout.xaxis = {...layout.xaxis, range: box.range};  // zoomed to: kept in other colours or sizes
  if (kind === 'tracks') data = named(data, layout.xaxis.range, width - layout.margin.l - layout.margin.r);
  if (kind === 'columns' && layout.xaxis.tickvals) thin(layout.xaxis, width);
  if (printing) { layout.width = 680; layout.autosize = false; data = tinted(data); }
  if (box.classList.contains('wait')) { box.textContent = ''; box.classList.remove('wait'); }
  box.style.minHeight = layout.height + 'px';
  // touch scrolls the page; a mouse drag zooms
  if (matchMedia('(pointer: coarse)').matches) layout.dragmode = false;
  const first = !box._fullLayout;
  const drawn = Plotly.react(box, resolve(data, dark), resolve(layout, dark), {responsive: true, displayModeBar: false, displaylogo: false, showTips: false});
  if (first) box.on('plotly_relayout', change => {
    if (!Object.keys(change).some(key => key.startsWith('xaxis'))) return;
    box.range = change['xaxis.autorange'] ? null : [...box._fullLayout.xaxis.range];
    if (kind === 'tracks') draw(box);
  });
  return drawn;
}
function thin(axis, width) {
  const longest = Math.max(...axis.ticktext.map(t => t.length)), room = Math.max(1, Math.floor((width - 80) / (longest * 7.5 + 12)));
  const every = Math.ceil(axis.tickvals.length / room);
  if (every > 1) Object.assign(axis, {tickvals: axis.tickvals.filter((_, i) => i % every === 0), ticktext: axis.ticktext.filter((_, i) => i % every === 0)});
}

const boxes = all('.chart');
function unit(button) {
  const box = byId(button.dataset.for + '-chart');
  box.dataset.unit = button.dataset.unit;
  for (const other of all('[data-unit]', button.parentElement)) other.setAttribute('aria-pressed', other === button);
  if (window.Plotly) draw(box);
}
function zoom(button) {
  const box = byId(button.dataset.for + '-chart');
  if (!box.layout) return;
  const full = JSON.parse(byId(button.dataset.for).textContent).layout.xaxis.range, how = button.dataset.zoom;
  if (how === 'all') { Plotly.relayout(box, full ? {'xaxis.range': full} : {'xaxis.autorange': true}); return; }
  const [low, high] = box._fullLayout.xaxis.range, size = high - low, middle = (low + high) / 2;
  const half = how === 'in' ? size / 4 : how === 'out' ? size : size / 2;
  const shift = how === 'left' ? -size / 2 : how === 'right' ? size / 2 : 0;
  let range = [middle - half + shift, middle + half + shift];
  if (full) range = [Math.max(full[0], range[0]), Math.min(full[1], range[1])];
  if (range[1] > range[0]) Plotly.relayout(box, {'xaxis.range': range});
}

const pause = () => new Promise(done => setTimeout(done, 0));
async function tryDraw(box) {
  try { await draw(box); } catch (fault) { console.error(fault); box.textContent = 'This chart could not be drawn; the table holds the same numbers.'; }
  await pause();
}
// a page with very many charts stays light: beyond these nodes a chart waits until it comes near
const ENOUGH = 5300;
const near = new IntersectionObserver(seen => {
  for (const {target, isIntersecting} of seen) if (isIntersecting) { near.unobserve(target); delete target.dataset.later; tryDraw(target); }
}, {rootMargin: '900px'});
async function drawAll() {
  for (const box of boxes) {
    if (box.dataset.later) continue;
    if (box.classList.contains('wait') && document.getElementsByTagName('*').length > ENOUGH) {
      box.dataset.later = 'yes';
      near.observe(box);
    } else await tryDraw(box);
  }
}
async function unpack() {
  const text = byId('tk-plotly').textContent.trim();
  let packed;
  if (Uint8Array.fromBase64) packed = Uint8Array.fromBase64(text);
  else {
    const raw = atob(text);
    packed = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) packed[i] = raw.charCodeAt(i);
  }
  byId('tk-plotly').remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  const code = await new Response(stream).blob();
  // from a blob the browser compiles off the main thread; the charset is the page's
  const script = document.createElement('script');
  script.src = URL.createObjectURL(new Blob([code], {type: 'text/javascript'}));
  await new Promise((done, fail) => { script.onload = done; script.onerror = fail; document.head.append(script); });
  URL.revokeObjectURL(script.src);
}

// for screen readers, and for whoever waits until the page is still
function busy() {
  const main = document.querySelector('main');
  let seconds = 0;
  const pulse = setInterval(() => main.setAttribute('data-drawing', seconds += 0.2), 200);
  main.setAttribute('aria-busy', 'true');
  return () => { clearInterval(pulse); main.removeAttribute('data-drawing'); main.removeAttribute('aria-busy'); };
}

if (boxes.length) (async () => {
  const done = busy();
  try {
    await new Promise(next => requestAnimationFrame(() => setTimeout(next, 0)));  // the text first
    await unpack();
    await drawAll();
  } finally { done(); }
  darkly.addEventListener('change', drawAll);
  let timer, width = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 150);
  });
  const forPrint = on => () => { printing = on; boxes.forEach(draw); };
  addEventListener('beforeprint', forPrint(true));
  addEventListener('afterprint', forPrint(false));
})().catch(fault => {
  console.error(fault);
  for (const box of boxes) box.textContent = 'This browser cannot draw the charts; the tables hold the same numbers.';
});
})();
