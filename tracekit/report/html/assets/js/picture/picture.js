// The linked picture: an icicle from stage to kernel above the slices of every track.
import {all, byId, copyText, make, pause, reveal} from '../dom.js';
import {filterTables} from '../filter.js';
import {range, remember} from '../fragment.js';
import {neighbour} from './icicle.js';
import {firstAfter, nextOf, sliceAt, within, zoomed} from './lanes.js';
import {modelOf, nodesByName, said, saidOfSlice} from './model.js';
import {bytesOf, unpack, unzipped} from '../packed.js';
import {parts} from '../parts.js';
import {paintIcicle, paintLanes} from './paint.js';
import {ink, schemeChanges} from '../theme.js';
import {duration} from '../units.js';

const pictures = new Map();
const KEYS = [
  ['In the icicle', '←  → neighbours, ↑ out, ↓ in, Enter zooms in and filters the tables, Backspace zooms out, Esc shows all'],
  ['In the slices', '+  − zoom, ←  → move, ↑ ↓ choose a track, [  ] the slice before and after, Enter zooms to it and filters, 0 or Esc shows all'],
  ['Mouse', 'drag to zoom, Shift and drag to move, Ctrl and wheel to zoom (the wheel alone once the picture was clicked), click to choose'],
  ['Touch', 'drag sideways to move, two fingers to zoom, tap to choose'],
];

/** Unpacks and draws a figure; what was asked for in the address is shown. */
async function drawPicture(figure) {
  const data = byId(figure.id + '-data');
  const packed = await (await unzipped(bytesOf(data.textContent.trim()))).arrayBuffer();
  data.remove();
  await pause();  // each step is a task of its own, so that none keeps the reader waiting
  const columns = unpack(packed);
  await pause();
  const model = modelOf(columns);
  await pause();
  const own = new Picture(figure, model);
  pictures.set(figure.id, own);
  await pause();
  own.draw();
  schemeChanges(() => own.draw());
  let timer;
  new ResizeObserver(() => { clearTimeout(timer); timer = setTimeout(() => own.width() !== own.drawn && own.draw(), 100); }).observe(figure);
  return own;
}

/** Shows what an address asks of a picture; false where it is none. */
function showPicture(id, state) {
  const own = pictures.get(id);
  if (own) own.show(state);
  return Boolean(own);
}

/** The nodes that can be looked for, of one name and kind the longest: [{text, kind, go}]. */
function nodesToFind() {
  return [...pictures.values()].flatMap(own => nodesByName(own.model).map(node => ({
    text: own.model.name(node), kind: own.model.shownKind(node), ns: own.model.header.ns[node],
    go: () => { reveal(own.figure); own.figure.scrollIntoView({block: 'start'}); own.choose(node, -1, true); own.icicle.focus({preventScroll: true}); },
  })));
}

class Picture {
  constructor(figure, model) {
    this.figure = figure;
    this.model = model;
    const first = within(model.header.view, model.bounds);
    this.state = {focus: 0, node: -1, row: -1, hover: -1, lane: model.tracks.findIndex(track => track.kind === 'stream'), idle: true, view: first, rows: 0, drag: null};
    if (this.state.lane < 0) this.state.lane = 0;
    this.build();
  }

  build() {
    const {figure, model} = this, title = figure.querySelector('h3').textContent;
    const button = (text, name, act) => make('button', {type: 'button', 'aria-label': name, onclick: act}, text);
    this.idle = make('button', {type: 'button', 'aria-pressed': 'true', onclick: () => this.toggleIdle()}, 'Idle time');
    const zoom = make('span', {class: 'seg', role: 'group', 'aria-label': 'Zoom of the slices'},
      button('+', 'Zoom in', () => this.zoom(0.5)), button('−', 'Zoom out', () => this.zoom(2)),
      button('‹', 'Earlier', () => this.move(-0.5)), button('›', 'Later', () => this.move(0.5)),
      button('All', 'Show all of the time', () => this.look(model.bounds)));
    const calls = make('span', {class: 'seg', role: 'group', 'aria-label': 'Slices of what is chosen'},
      button('Slice before', 'Zoom to the slice before', () => this.step(-1)), button('Next slice', 'Zoom to the next slice', () => this.step(1)));
    const hasIdle = model.header.kind.some((_, node) => model.kind(node) === 'idle');
    figure.querySelector('figcaption').append(make('span', {class: 'tools'}, hasIdle ? this.idle : null, calls, zoom));
    this.readout = make('div', {class: 'readout', role: 'status', id: figure.id + '-said'});
    const canvas = (name, about) => make('canvas', {tabindex: 0, role: 'application', 'aria-label': `${name}: ${title}`, 'aria-roledescription': about, 'aria-describedby': figure.id + '-said'});
    this.icicle = canvas('Icicle', 'tree to walk with the arrow keys');
    this.lanes = canvas('Slices', 'time axis to zoom with the keys');
    this.tip = make('div', {class: 'tip', 'aria-hidden': 'true', hidden: ''});
    this.box = make('div', {class: 'canvases'}, this.icicle, this.lanes, this.tip);
    const keys = make('details', {class: 'more'}, make('summary', {}, 'Keys and gestures of this picture'),
      make('dl', {class: 'facts'}, ...KEYS.flatMap(([name, text]) => [make('dt', {}, name), make('dd', {}, text)])));
    figure.querySelector('.wait').replaceWith(this.box, this.readout, keys);
    this.listen();
    this.tell();
  }

  width() { return Math.max(Math.floor(this.box.clientWidth), 200); }

  draw() {
    const width = this.drawn = this.width();
    this.boxes = paintIcicle(this.icicle, this.model, this.state, ink, width);
    this.drawLanes();
  }
  drawLanes() {
    this.placed = paintLanes(this.lanes, this.model, this.state, ink, this.width());
    this.figure.dataset.view = this.state.view.map(Math.round).join(',');
  }
  later(both = false) {
    this.both ||= both;
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (this.both) this.draw(); else this.drawLanes();
      this.both = false;
    });
  }

  // ------------------------------------------------------------ what is shown

  look(view) {
    this.state.view = within(view, this.model.bounds);
    this.later();
    this.remember();
  }
  zoom(factor, around) {
    const [low, high] = this.state.view;
    this.look(zoomed(this.state.view, this.model.bounds, around ?? (low + high) / 2, factor));
  }
  move(part) {
    const [low, high] = this.state.view, by = (high - low) * part;
    this.look([low + by, high + by]);
  }
  toggleIdle() {
    this.state.idle = !this.state.idle;
    this.idle.setAttribute('aria-pressed', this.state.idle);
    if (!this.state.idle && this.model.waits(this.state.focus)) this.state.focus = 0;
    this.later(true);
    this.remember();
  }
  /** Zooms the icicle to a node and the time to the slices of it, filters the tables. */
  choose(node, row, zoomIn = false) {
    this.state.node = node;
    this.state.row = row;
    if (zoomIn && node >= 0) this.state.focus = this.model.children[node].length ? node : Math.max(this.model.tree.parent[node], 0);
    if (node >= 0 && this.model.waits(node) && !this.state.idle) this.toggleIdle();
    filterTables(node > 0 ? this.model.term(node) : '', this.model.shownKind(Math.max(node, 0)));
    this.tell();
    this.later(true);
    this.remember();
  }
  clear() {
    this.state.focus = 0;
    this.choose(-1, -1);
  }
  /** Zooms to the slice before or after of what is chosen, else of the track. */
  step(by) {
    const {state, model} = this;
    const rows = state.node > 0 ? this.found?.node === state.node ? this.found.rows : (this.found = {node: state.node, rows: model.rowsOf(state.node)}).rows : [...(model.levels[state.lane][0] || [])];
    const row = nextOf(rows, model.slices.start, state.row, by);
    if (row < 0) { this.tell('No slice of it is drawn one by one.'); return; }
    this.toSlice(row);
  }
  toSlice(row) {
    const {start, dur} = this.model.slices, size = Math.max(dur[row], 1);
    this.state.row = row;
    this.state.lane = this.model.track(row);
    this.look([start[row] - size, start[row] + 2 * size]);
    this.tell();
    this.later(true);
  }
  show(state) {
    const view = range(state.view);
    if (view) this.state.view = within(view, this.model.bounds);
    if ((state.idle === 'off') === this.state.idle) this.toggleIdle();
    const node = state.node === undefined ? -1 : +state.node, row = state.slice === undefined ? -1 : +state.slice;
    const known = Number.isInteger(node) && node > 0 && node < this.model.tree.parent.length;
    const real = Number.isInteger(row) && row >= 0 && row < this.model.slices.start.length;
    this.choose(known ? node : -1, real ? row : -1, known);
  }
  remember() {
    clearTimeout(this.timer);
    const {node, row, view, idle} = this.state, whole = within(this.model.header.view, this.model.bounds);
    this.timer = setTimeout(() => remember(this.figure.id, {
      view: view.some((v, i) => Math.abs(v - whole[i]) > 0.5) ? view.map(Math.round).join(',') : '',
      node: node > 0 ? node : '', slice: row >= 0 ? row : '', idle: idle ? '' : 'off',
    }), 150);
  }

  // ------------------------------------------------------------ what is said

  tell(note) {
    const {state, model} = this, {start, dur} = model.slices;
    const lines = state.row >= 0 ? saidOfSlice(model, state.row) : said(model, Math.max(state.node, state.focus), state);
    const parts = [make('p', {}, make('b', {}, lines[0]), lines.length > 1 ? ' · ' + lines.slice(1).join(' · ') : '')];
    if (note) parts.push(make('p', {}, note));
    if (state.row >= 0 || state.node > 0) {
      const [low, high] = state.row >= 0 ? [start[state.row], start[state.row] + dur[state.row]] : this.span(state.node);
      const text = model.command(low, high);
      parts.push(make('p', {class: 'command'}, `In Perfetto, at ${duration(low)}: `, make('code', {}, text), ' ',
        make('button', {type: 'button', onclick: event => { copyText(text, event.target); event.target.textContent = 'Copied'; }}, 'Copy command')));
    }
    this.readout.replaceChildren(...parts);
  }
  /** From the first to the last slice of a node that is drawn. */
  span(node) {
    const rows = this.model.rowsOf(node), {start, dur} = this.model.slices;
    this.found = {node, rows};
    return rows.length ? [start[rows[0]], rows.reduce((end, row) => Math.max(end, start[row] + dur[row]), 0)] : this.state.view;
  }
  hint(lines, x, y) {
    this.tip.hidden = !lines;
    if (!lines) return;
    this.tip.replaceChildren(make('b', {}, lines[0]), ...lines.slice(1).map(line => make('span', {}, line)));
    const width = this.width(), size = Math.min(this.tip.offsetWidth, width);
    this.tip.style.left = Math.max(0, Math.min(x + 14, width - size)) + 'px';
    this.tip.style.top = y + 18 + 'px';
  }

  // ------------------------------------------------------------ what is under a point

  nodeAt(x, y) { return this.boxes.find(one => y >= one.y && y < one.y + one.height + 1 && x >= one.x && x < one.x + Math.max(one.width, 1))?.node ?? -1; }
  instantAt(x) { const [low, high] = this.state.view; return low + x / this.width() * (high - low); }
  laneAt(y) { return this.placed.find(lane => y >= lane.labelY - 8 && y < lane.y + lane.height + 4); }
  rowAt(x, y) {
    const lane = this.laneAt(y);
    if (!lane || y < lane.y || !lane.shown.length) return -1;
    const {start, dur} = this.model.slices, place = Math.min(Math.floor((y - lane.y) / lane.each), lane.shown.length - 1);
    const slack = 2 * (this.state.view[1] - this.state.view[0]) / this.width(), rows = this.model.levels[lane.track][lane.shown[place]];
    const exact = sliceAt(rows, start, dur, this.instantAt(x));
    return exact >= 0 ? exact : sliceAt(rows, start, dur, this.instantAt(x), slack);
  }
  choosesRow(row) {
    this.state.lane = this.model.track(row);
    const node = this.model.slices.node[row];
    this.choose(node, row);
    if (node < 0) filterTables(this.model.sliceText(row), 'slice');
  }

  // ------------------------------------------------------------ hands

  listen() {
    const {icicle, lanes} = this;
    icicle.addEventListener('pointermove', event => {
      const node = this.nodeAt(event.offsetX, event.offsetY);
      if (node !== this.state.hover) { this.state.hover = node; this.later(true); }
      this.hint(node < 0 ? null : said(this.model, node, this.state), event.offsetX, event.offsetY);
    });
    icicle.addEventListener('pointerleave', () => { this.state.hover = -1; this.hint(null); this.later(true); });
    icicle.addEventListener('click', event => {
      const node = this.nodeAt(event.offsetX, event.offsetY);
      if (node > 0) this.choose(node, -1, true); else if (node === 0) this.clear();
    });
    icicle.addEventListener('keydown', event => this.onTreeKey(event));
    lanes.addEventListener('keydown', event => this.onTimeKey(event));
    lanes.addEventListener('pointerleave', () => this.hint(null));
    this.pointers();
    lanes.addEventListener('wheel', event => {
      const plain = !(event.ctrlKey || event.metaKey);
      if (plain && document.activeElement !== lanes) return;  // the page scrolls
      event.preventDefault();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move((event.deltaX || event.deltaY) / this.width());
      else this.zoom(2 ** (Math.max(-120, Math.min(event.deltaY, 120)) / 160), this.instantAt(event.offsetX));
    }, {passive: false});
  }

  pointers() {
    const {lanes} = this, down = new Map();
    let begun = null;
    lanes.addEventListener('pointerdown', event => {
      if (event.button) return;
      down.set(event.pointerId, event.offsetX);
      lanes.setPointerCapture(event.pointerId);
      begun = {x: event.offsetX, view: this.state.view, pans: event.shiftKey || event.pointerType === 'touch', moved: false, apart: spread(down), y: event.offsetY};
    });
    lanes.addEventListener('pointermove', event => {
      if (!down.has(event.pointerId)) {
        const row = this.rowAt(event.offsetX, event.offsetY);
        this.hint(row < 0 ? null : saidOfSlice(this.model, row), event.offsetX, this.lanes.offsetTop + event.offsetY);
        return;
      }
      down.set(event.pointerId, event.offsetX);
      begun.moved ||= Math.abs(event.offsetX - begun.x) > 4;
      if (!begun.moved && down.size < 2) return;
      this.hint(null);
      const [low, high] = begun.view, by = (high - low) / this.width();
      if (down.size > 1 && begun.apart) {
        const middle = [...down.values()].reduce((sum, x) => sum + x, 0) / down.size;
        this.look(zoomed(begun.view, this.model.bounds, low + middle * by, begun.apart / Math.max(spread(down), 10)));
      } else if (begun.pans) this.look([low - (event.offsetX - begun.x) * by, high - (event.offsetX - begun.x) * by]);
      else { this.state.drag = [begun.x, event.offsetX]; this.later(); }
    });
    const up = event => {
      if (!down.delete(event.pointerId) || !begun) return;
      const {drag} = this.state, {moved} = begun;
      this.state.drag = null;
      if (drag && event.type === 'pointerup') this.look(drag.map(x => this.instantAt(x)).sort((a, b) => a - b));
      else if (!moved && event.type === 'pointerup') {
        const row = this.rowAt(event.offsetX, event.offsetY), lane = this.laneAt(event.offsetY);
        if (lane) this.state.lane = lane.track;
        if (row >= 0) this.choosesRow(row); else this.clear();
      }
      if (!down.size) begun = null;
      this.later();
    };
    lanes.addEventListener('pointerup', up);
    lanes.addEventListener('pointercancel', up);
    lanes.addEventListener('dblclick', event => { const row = this.rowAt(event.offsetX, event.offsetY); if (row >= 0) this.toSlice(row); });
  }

  onTreeKey(event) {
    const {state, model} = this, own = model.own(state);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith('Arrow')) {
      state.node = neighbour(model.tree, model.children, own, Math.max(state.node, state.focus), event.key);
      state.row = -1;
      if (!model.path(state.node).includes(state.focus)) state.focus = 0;
      this.tell();
      this.later(true);
    } else if (event.key === 'Enter') this.choose(Math.max(state.node, 0), -1, true);
    else if (event.key === 'Backspace') { state.focus = Math.max(model.tree.parent[state.focus], 0); this.choose(state.focus, -1); }
    else if (event.key === 'Escape') this.clear();
    else if (event.key === '[' || event.key === ']') this.step(event.key === ']' ? 1 : -1);
    else return;
    event.preventDefault();
  }

  onTimeKey(event) {
    const {state, model} = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      '+': () => this.zoom(0.5), '=': () => this.zoom(0.5), '-': () => this.zoom(2), ArrowLeft: () => this.move(-0.25), ArrowRight: () => this.move(0.25),
      ArrowUp: () => this.lane(-1), ArrowDown: () => this.lane(1), ']': () => this.stepOnLane(1), '[': () => this.stepOnLane(-1),
      Enter: () => { if (state.row >= 0) { this.toSlice(state.row); this.choosesRow(state.row); } }, '0': () => this.look(model.bounds), Home: () => this.look(model.bounds),
      Escape: () => { this.look(model.bounds); this.clear(); },
    };
    if (!acts[event.key]) return;
    acts[event.key]();
    event.preventDefault();
  }
  lane(by) {
    const {state, model} = this;
    state.lane = Math.min(Math.max(state.lane + by, 0), model.tracks.length - 1);
    state.row = -1;
    const track = model.tracks[state.lane];
    this.tell(`${track.label}: ${track.slices.toLocaleString('en-US')} slices.`);
    this.later();
  }
  /** The slice before or after on the track, moved into sight. */
  stepOnLane(by) {
    const {state, model} = this, {start, dur} = model.slices;
    const lane = this.placed.find(one => one.track === state.lane), level = lane.shown[0] ?? 0, rows = model.levels[state.lane][level] || [];
    let row = state.row >= 0 ? nextOf(rows, start, state.row, by) : -1;
    if (row < 0) row = rows[Math.min(firstAfter(rows, start, dur, state.view[0]), rows.length - 1)] ?? -1;
    if (row < 0) return;
    state.row = row;
    const [low, high] = state.view, size = high - low, middle = start[row] + dur[row] / 2;
    if (start[row] < low || start[row] + dur[row] > high) this.look([middle - size / 2, middle + size / 2]);
    this.tell();
    this.later();
  }
}

/** How far the fingers are apart; 0 for one. */
function spread(down) {
  const places = [...down.values()];
  return places.length > 1 ? Math.abs(places[0] - places[1]) : 0;
}

async function drawPictures() {
  for (const figure of all('figure.picture')) {
    try { await drawPicture(figure); } catch (fault) {
      console.error(fault);
      const place = figure.querySelector('.wait');
      if (place) place.textContent = 'This browser cannot draw the picture; the table holds the longest parts.';
    }
  }
}

parts.push({draw: drawPictures, show: showPicture, find: nodesToFind});
