// Plotly's charts: drawn after the text, in the reader's colours, light on a page of many.
import {all, byId, pause} from './dom.js';
import {range, remember} from './fragment.js';
import {bytesOf, unzipped} from './packed.js';
import {isPrinting, resolve, schemeChanges, theme} from './theme.js';

const isNarrow = () => innerWidth < 600;

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
    trace.text = trace.x.map(v => v ? `${v.toFixed(v < 10 ? 1 : 0)}%` : '');
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
  const printing = isPrinting(), narrow = isNarrow() && !printing;
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
  if (kind === 'rows' && (narrow || Math.max(...layout.yaxis.ticktext.map(t => t.length)) * 7 > 0.4 * width)) {
    const before = 1 - layout.bargap;
    namesAbove(layout, width);
    // bars with a thickness of their own shrink with the others
    const by = (1 - layout.bargap) / before;
    data = data.map(trace => trace.width && trace.type === 'bar' ? {...trace, width: trace.width.map(w => w * by)} : trace);
  }
  if (kind === 'slope') {  // as much room for the names as they need, the rest for the lines
    const inner = width - layout.margin.l - layout.margin.r, names = Math.min(185, 0.46 * inner);
    layout.xaxis.range = [-0.06, 1 + 1.06 * names / (inner - names)];
  }
  if (box.range) layout.xaxis = {...layout.xaxis, range: box.range};  // zoomed to: kept in other colours or sizes
  if (kind === 'tracks') data = named(data, layout.xaxis.range, width - layout.margin.l - layout.margin.r);
  if (kind === 'columns' && layout.xaxis.tickvals) thin(layout.xaxis, width);
  if (printing) { layout.width = 680; layout.autosize = false; data = tinted(data); }
  arrives(box);
  if (box.classList.contains('wait')) { box.textContent = ''; box.classList.remove('wait'); }
  box.style.minHeight = layout.height + 'px';
  // touch scrolls the page; a mouse drag zooms
  if (matchMedia('(pointer: coarse)').matches) layout.dragmode = false;
  const first = !box._fullLayout;
  const drawn = Plotly.react(box, resolve(data), resolve(layout), {responsive: true, displayModeBar: false, displaylogo: false, showTips: false});
  if (first) box.on('plotly_relayout', change => {
    if (!Object.keys(change).some(key => key.startsWith('xaxis'))) return;
    box.range = change['xaxis.autorange'] ? null : [...box._fullLayout.xaxis.range];
    tellChart(box);
    if (kind === 'tracks') draw(box);
  });
  return drawn;
}
function thin(axis, width) {
  const longest = Math.max(...axis.ticktext.map(t => t.length)), room = Math.max(1, Math.floor((width - 80) / (longest * 7.5 + 12)));
  const every = Math.ceil(axis.tickvals.length / room);
  if (every > 1) Object.assign(axis, {tickvals: axis.tickvals.filter((_, i) => i % every === 0), ticktext: axis.ticktext.filter((_, i) => i % every === 0)});
}

const boxes = () => all('.chart');
function tellChart(box) {
  remember(box.dataset.chart, {x: box.range ? box.range.map(v => +v.toPrecision(9)).join(',') : '', unit: box.dataset.unit && box.dataset.unit !== 'raw' ? box.dataset.unit : ''});
}
function unit(button) {
  const box = byId(button.dataset.for + '-chart');
  showUnit(box, button.dataset.unit);
  tellChart(box);
}
function showUnit(box, unit_) {
  box.dataset.unit = unit_;
  for (const other of all(`[data-unit][data-for="${CSS.escape(box.dataset.chart)}"]`)) other.setAttribute('aria-pressed', other.dataset.unit === unit_);
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

/** Shows what an address asks of a chart: the stretch, the unit. */
export function showChart(id, state) {
  const box = byId(id + '-chart') || (byId(id)?.classList.contains('chart') ? byId(id) : null);
  if (!box) return false;
  box.range = range(state.x);
  const units = all(`[data-unit][data-for="${CSS.escape(box.dataset.chart)}"]`).map(button => button.dataset.unit);
  if (units.includes(state.unit)) showUnit(box, state.unit); else if (window.Plotly && box.range) draw(box);
  return true;
}

async function tryDraw(box) {
  try { await draw(box); } catch (fault) { console.error(fault); box.textContent = 'This chart could not be drawn; the table holds the same numbers.'; }
  await pause();
}
// A page is at hand before its last chart is drawn: at first those in sight are, then, once the reader
// moves, each as it comes near.
const AHEAD = 900;  // px
let ahead = 0, near = null;
function watch(margin) {
  near?.disconnect();
  ahead = margin;
  near = globalThis.IntersectionObserver && new IntersectionObserver(seen => {
    for (const {target, isIntersecting} of seen) if (isIntersecting) { arrives(target); tryDraw(target); }
  }, {rootMargin: margin + 'px'});
  for (const box of boxes()) if (box.dataset.later) near?.observe(box);
}
function arrives(box) {
  near?.unobserve(box);
  delete box.dataset.later;
}
function isFar(box) {
  const {top, bottom} = box.getBoundingClientRect();
  return Boolean(near) && (!box.offsetParent || top > innerHeight + ahead || bottom < -ahead);
}
async function drawAll() {
  for (const box of boxes()) {
    if (box.dataset.later) continue;
    if (box.classList.contains('wait') && isFar(box)) {
      box.dataset.later = 'yes';
      near.observe(box);
    } else await tryDraw(box);
  }
}
// While the browser has nothing else to do, the others are drawn too, for pictures of the whole page and
// for who scrolls fast; where one takes long, the machine is slow or busy and the rest wait to be near.
const LONG = 30;  // ms
const NODES = 5800;  // elements of a page from which on nothing is drawn ahead
function drawAhead() {
  const next = boxes().find(box => box.dataset.later && box.offsetParent);
  if (!next || !globalThis.requestIdleCallback || document.getElementsByTagName('*').length > NODES) return;
  requestIdleCallback(async () => {
    const begun = performance.now();
    if (next.dataset.later) { arrives(next); await tryDraw(next); }
    if (performance.now() - begun < LONG) drawAhead();
  });
}
async function loadPlotly() {
  const packed = bytesOf(byId('tk-plotly').textContent.trim());
  byId('tk-plotly').remove();
  const code = await unzipped(packed).blob();
  // from a blob the browser compiles off the main thread; the charset is the page's
  const script = document.createElement('script');
  script.src = URL.createObjectURL(new Blob([code], {type: 'text/javascript'}));
  await new Promise((done, fail) => { script.onload = done; script.onerror = fail; document.head.append(script); });
  URL.revokeObjectURL(script.src);
}

/** Draws every chart; where that cannot be, their places say what holds the same numbers. */
export async function drawCharts() {
  if (!boxes().length) return;
  try {
    await loadPlotly();
    await pause();  // a task of its own for the first chart
    watch(0);
    addEventListener('scroll', () => watch(AHEAD), {once: true, passive: true});
    const begun = performance.now();
    await drawAll();
    if (performance.now() - begun < 8 * LONG) drawAhead();  // the first takes longer than those after it
  } catch (fault) {
    console.error(fault);
    for (const box of boxes()) box.textContent = 'This browser cannot draw the charts; the tables hold the same numbers.';
    return;
  }
  schemeChanges(() => isPrinting() ? boxes().filter(box => !box.closest('.onscreen')).forEach(draw) : drawAll());
  let timer, width = innerWidth;
  addEventListener('resize', () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 150);
  });
}

export function listenToCharts() {
  document.addEventListener('click', event => {
    const button = event.target.closest('button');
    if (button?.dataset.unit) unit(button);
    else if (button?.dataset.zoom) zoom(button);
  });
}
