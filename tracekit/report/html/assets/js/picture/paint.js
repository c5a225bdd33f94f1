// Draws the picture on its two canvases; what is drawn where is for picture.js to look up again.
import {ancestry, cut, layout} from './icicle.js';
import {firstAfter, paintLevel, telling, thinRow} from './lanes.js';
import {instant, ticks} from '../units.js';

export const ROW = 20;  // of the icicle, px
const AXIS = 20, LABEL = 16, STREAM = 20, IDLE = 13, LEVEL = 14, GAP = 6;
const FONT = (size = 12) => `${size}px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif`;
const LEVELS = 9, FEWER = 4;  // of a host thread; where there are more than three threads

/** Sizes a canvas in CSS pixels and gives its context, scaled to the screen's. */
export function sized(canvas, width, height) {
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * dense);
  canvas.height = Math.round(height * dense);
  canvas.style.height = height + 'px';
  const to = canvas.getContext('2d');
  to.setTransform(dense, 0, 0, dense, 0, 0);
  to.font = FONT();
  to.textBaseline = 'middle';
  return to;
}

const patterns = new Map();
/** Hatching over a colour, in the colour of the page. */
function hatching(to, hatch, paper) {
  const key = hatch + paper;
  if (!patterns.has(key)) {
    const tile = document.createElement('canvas');
    tile.width = tile.height = 6;
    const on = tile.getContext('2d');
    on.strokeStyle = on.fillStyle = paper;
    on.lineWidth = 1.1;
    const line = (...ends) => { on.beginPath(); on.moveTo(ends[0], ends[1]); on.lineTo(ends[2], ends[3]); on.stroke(); };
    if ('/x'.includes(hatch)) { line(-1, 7, 7, -1); line(-1, 1, 1, -1); line(5, 7, 7, 5); }
    if ('\\x'.includes(hatch)) { line(-1, -1, 7, 7); line(-1, 5, 1, 7); line(5, -1, 7, 1); }
    if ('|+'.includes(hatch)) line(3, 0, 3, 6);
    if ('-+'.includes(hatch)) line(0, 3, 6, 3);
    if (hatch === '.') { on.beginPath(); on.arc(3, 3, 1.2, 0, 7); on.fill(); }
    patterns.set(key, to.createPattern(tile, 'repeat'));
  }
  return patterns.get(key);
}

function box(to, ink, x, y, width, height, [colour, , hatch], faint) {
  to.globalAlpha = faint ? 0.28 : 1;
  to.fillStyle = ink(colour);
  to.fillRect(x, y, width, height);
  if (hatch && width > 3) { to.fillStyle = hatching(to, hatch, ink('var(--bg)')); to.fillRect(x, y, width, height); }
  to.globalAlpha = 1;
}

/** How many letters a width holds. */
const room = width => Math.floor((width - 6) / 6.4);

/** Text cut to a width; nothing where not even three letters fit. On hatching it has a plain ground. */
function label(to, text, x, y, width, ground, others) {
  const most = room(width);
  if (most < 3) return;
  const shown = cut(text, most, others);
  to.save();
  to.beginPath();
  to.rect(x, y - ROW, width - 3, 2 * ROW);
  to.clip();
  if (ground) {
    const own = to.fillStyle;
    to.fillStyle = ground;
    to.fillRect(x + 2, y - 7, to.measureText(shown).width + 4, 14);
    to.fillStyle = own;
  }
  to.fillText(shown, x + 4, y);
  to.restore();
}

function outline(to, ink, x, y, width, height) {
  to.strokeStyle = ink('var(--text)');
  to.lineWidth = 2;
  to.strokeRect(x + 1, y + 1, Math.max(width - 2, 1), height - 2);
}

/** The icicle. Gives its boxes in pixels: [{node, x, y, width, height}]. */
export function paintIcicle(canvas, model, state, ink, width) {
  const found = layout(model.tree, model.children, model.own(state), state.focus, 0.6 / width);
  const rows = found.reduce((most, one) => Math.max(most, one.row), 0) + 1;
  // a focus deep in the tree keeps the height, so that nothing below it jumps
  const height = Math.max(rows, state.rows || 0) * ROW + 1;
  state.rows = Math.max(rows, state.rows || 0);
  const to = sized(canvas, width, height);
  const chosen = new Set(state.node >= 0 ? ancestry(model.tree.parent, state.node) : []);
  const deepest = ancestry(model.tree.parent, state.focus).length - 1;
  const boxes = found.map(one => ({node: one.node, x: one.x * width, y: one.row * ROW, width: one.width * width, height: ROW - 1, row: one.row}));
  const names = [];  // of each row, of those wide enough for one
  for (const one of boxes) if (room(one.width) >= 3) (names[one.row] ||= []).push(model.shortName(one.node));
  for (const one of boxes) {
    const mark = model.mark(one.node, one.row);
    const size = Math.max(one.width - (one.width > 3 ? 1 : 0), 0.5);
    box(to, ink, one.x, one.y, size, one.height, mark, one.row < deepest);
    to.fillStyle = ink(one.row < deepest ? 'var(--text)' : mark[1]);
    if (room(one.width) < 3) continue;
    const whole = model.caption(one.node), text = whole.length > room(one.width) ? model.shortName(one.node) : whole;
    label(to, text, one.x, one.y + ROW / 2, one.width, mark[2] && one.row >= deepest ? ink(mark[0]) : '', names[one.row]);
  }
  for (const one of boxes) {
    if (one.node === state.node) outline(to, ink, one.x, one.y, one.width, one.height);
    else if (one.node === state.hover || (chosen.has(one.node) && one.row > deepest)) {
      to.strokeStyle = ink('var(--text)');
      to.lineWidth = 1;
      to.strokeRect(one.x + 0.5, one.y + 0.5, Math.max(one.width - 1, 1), one.height - 1);
    }
  }
  return boxes;
}

/** Where each track stands: [{track, y, height, rows}], and the height of all. */
export function placed(model) {
  let y = AXIS;
  const most = model.tracks.filter(track => track.kind === 'thread').length > 3 ? FEWER : LEVELS;
  const lanes = model.tracks.map((track, number) => {
    // a thread of a few slices needs no room for levels that it hardly has
    const deep = Math.max(Math.min(model.levels[number].length, most, Math.ceil(Math.log2(track.slices + 1))), 1);
    const rows = track.kind === 'thread' ? deep : 1;
    const height = track.kind === 'thread' ? rows * LEVEL : track.kind === 'idle' ? IDLE : STREAM;
    const own = {track: number, labelY: y + LABEL / 2 + 1, y: y + LABEL, height, rows};
    y += LABEL + height + GAP;
    return own;
  });
  return [lanes, y];
}

/** The slices of all tracks in the stretch that is shown. */
export function paintLanes(canvas, model, state, ink, width) {
  const [lanes, height] = placed(model);
  const to = sized(canvas, width, height);
  axis(to, ink, state.view, width, height);
  for (const lane of lanes) paintLane(to, model, state, ink, width, lane);
  if (state.drag) {
    to.fillStyle = ink('var(--link)');
    to.globalAlpha = 0.18;
    to.fillRect(Math.min(...state.drag), 0, Math.abs(state.drag[1] - state.drag[0]), height);
    to.globalAlpha = 1;
  }
  return lanes;
}

function axis(to, ink, [low, high], width, height) {
  const [step, at] = ticks(low, high, width / 110);
  to.fillStyle = ink('var(--dim)');
  to.strokeStyle = ink('var(--grid)');
  to.lineWidth = 1;
  for (const ns of at) {
    const x = Math.round((ns - low) / (high - low) * width) + 0.5;
    to.beginPath();
    to.moveTo(x, AXIS - 4);
    to.lineTo(x, height);
    to.stroke();
    const text = instant(ns, step), size = to.measureText(text).width;
    if (x + size + 4 < width) to.fillText(text, x + 3, AXIS / 2 - 1);
  }
}

function paintLane(to, model, state, ink, width, lane) {
  const track = model.tracks[lane.track];
  to.fillStyle = ink(lane.track === state.lane ? 'var(--text)' : 'var(--dim)');
  label(to, (lane.track === state.lane ? '▸ ' : '') + track.label, -4, lane.labelY, width);
  to.fillStyle = ink('var(--panel)');
  to.fillRect(0, lane.y, width, lane.height);
  paintRest(to, model, state, ink, width, lane);
  const {start, dur} = model.slices, every = model.levels[lane.track];
  lane.shown = track.kind === 'thread'
    ? telling(every, start, dur, ...state.view, lane.rows)
    : every.map((_, level) => level);
  const each = lane.height / Math.max(lane.rows, track.kind === 'thread' ? 1 : lane.shown.length);
  lane.each = each;
  lane.shown.forEach((level, place) => paintOne(to, model, state, ink, width, every[level], lane.y + place * each, each, level));
}

function paintOne(to, model, state, ink, width, rows, y, height, level) {
  const {start, dur} = model.slices, thin = thinRow(width), chosen = model.inside(state.node);
  to.font = FONT(height < 15 ? 10.5 : 12);
  // the host's slices belong to no node of a device: they stay as they are
  const faint = row => chosen !== null && model.slices.node[row] >= 0 && !chosen(row);
  paintLevel(rows, start, dur, state.view, width, 1.5, (row, x, size) => {
    const from = Math.max(x, -4), to_ = Math.min(x + size, width + 4), mark = model.sliceMark(row, level);
    box(to, ink, from, y, to_ - from - (size > 4 ? 0.7 : 0), height - 1, mark, faint(row));
    if (height > 9) {
      to.fillStyle = ink(faint(row) ? 'var(--text)' : mark[1]);
      label(to, model.sliceName(row), Math.max(from, 0), y + height / 2, to_ - Math.max(from, 0), mark[2] && !faint(row) ? ink(mark[0]) : '');
    }
    if (row === state.row) outline(to, ink, from, y, to_ - from, height - 1);
  }, thin);
  for (let x = 0; x < width; x++) {
    const row = thin.row[x];
    if (row < 0) continue;
    // as dark as the pixel is full: what is sparse must not look busy
    const share = Math.min(thin.cover[x], 1);
    to.globalAlpha = (faint(row) ? 0.3 : 1) * Math.max(share, 0.12);
    to.fillStyle = ink(model.sliceMark(row, level)[0]);
    to.fillRect(x, y, 1, height - 1);
  }
  to.globalAlpha = 1;
  to.font = FONT();
  const one = state.row;
  if (one >= 0 && rows[firstAfter(rows, start, dur, start[one])] === one) {  // however thin it is
    const by = width / (state.view[1] - state.view[0]), x = (start[one] - state.view[0]) * by, size = dur[one] * by;
    if (size < 1.5 && x >= -2 && x <= width) outline(to, ink, x - 2, y - 1, size + 4, height + 1);
  }
}

/** What is not drawn one by one: as much of each stretch as it covers. */
function paintRest(to, model, state, ink, width, lane) {
  const {restStart, restLength, restNs} = model.slices, [low, high] = state.view, by = width / (high - low);
  const rows = model.rest[lane.track];
  to.fillStyle = ink('var(--other)');
  for (let i = firstAfter(rows, restStart, restLength, low); i < rows.length; i++) {
    const row = rows[i], x = (restStart[row] - low) * by;
    if (x > width) break;
    const size = Math.max(restLength[row] * by, 1);
    to.globalAlpha = Math.max(Math.min(restNs[row] / Math.max(restLength[row], 1) * Math.min(restLength[row] * by, 1) || 0.1, 0.8), 0.1);
    to.fillRect(x, lane.y + lane.height - 3, size, 3);
  }
  to.globalAlpha = 1;
}

