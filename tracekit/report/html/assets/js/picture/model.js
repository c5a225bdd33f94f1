// What the picture says, out of the columns that Python packed. Nothing here draws.
import {ancestry, family, widths} from './icicle.js';
import {levels} from './lanes.js';
import {count, duration, forCommand, plural, share} from '../units.js';

const LANES = [['var(--lane)', 'var(--text)', ''], ['var(--lane-2)', 'var(--text)', '']];
const LEAVES = new Set(['kernel', 'copy', 'fill']);
const SHOWN = {fill: 'memset'};  // kinds that are called otherwise
const WAITS = new Set(['idle', 'cause', 'host']);
// what a reader may look for in the tables; of others the name says nothing there
const NAMED = new Set(['stage', 'module', 'op', 'kernel', 'copy', 'fill', 'cause', 'host']);

/** The model of a picture: names, colours, what belongs to what. */
export function modelOf({header, columns}) {
  const {texts, kinds} = header, text = n => n < 0 ? '' : texts[n];
  const tree = {parent: header.parent, ns: header.ns};
  const kind = node => kinds[header.kind[node]];
  const children = family(tree.parent);
  const waits = node => WAITS.has(kind(node));
  const every = widths(tree), without = widths(tree, waits);
  const tracks = header.tracks.map(([label, of, slices, ns]) => ({label, kind: of, slices, ns}));
  const {start, dur, name, node} = columns;
  for (let i = 0; i < node.length; i++) node[i] -= 1;  // 0 was written for none
  const rest = tracks.map(() => []);
  columns.restTrack.forEach((track, row) => rest[track].push(row));
  const starts = [];
  header.perTrack.reduce((at, n, track) => { starts[track] = at; return at + n; }, 0);
  const short = n => n < 0 ? '' : header.short[n] ?? texts[n];
  const cache = new Map();

  const model = {
    header, tree, children, kind, tracks, slices: columns, rest, waits,
    levels: levels(header.perTrack, start, dur),
    bounds: [header.start, header.end],
    own: state => state.idle ? every : without,
    name: at => text(header.name[at]),
    shownKind: at => SHOWN[kind(at)] ?? kind(at),
    shortName: at => short(header.name[at]),
    caption: at => `${short(header.name[at])}  ${duration(header.ns[at])}`,
    /** Colour, colour of text upon it, hatch. What is no kernel is grey: place tells it. */
    mark: (at, row) => header.colour[at] >= 0 ? header.colours[header.colour[at]] : LANES[row % 2],
    sliceMark(row, level) {
      if (node[row] >= 0 && header.colour[node[row]] >= 0) return header.colours[header.colour[node[row]]];
      const own = header.nameColours[name[row]];
      return own >= 0 ? header.colours[own] : LANES[level % 2];
    },
    sliceName: row => short(header.names[name[row]]),
    sliceText: row => text(header.names[name[row]]),
    track(row) { let at = tracks.length - 1; while (starts[at] > row) at--; return at; },
    /** Whether a slice is inside a node; null where nothing is chosen. */
    inside(at) {
      if (at <= 0) return null;
      if (!cache.has(at)) {
        const below = new Uint8Array(tree.parent.length);
        below[at] = 1;
        for (let child = at + 1; child < below.length; child++) if (below[tree.parent[child]]) below[child] = 1;
        cache.clear();
        cache.set(at, row => node[row] >= 0 && below[node[row]] === 1);
      }
      return cache.get(at);
    },
    /** The slices of a node, by start. */
    rowsOf(at) {
      const inside = model.inside(at), out = [];
      if (inside) for (let i = 0; i < node.length; i++) if (inside(i)) out.push(i);
      return out.sort((a, b) => start[a] - start[b]);
    },
    path: at => ancestry(tree.parent, at).slice(1),
    /** What the tables are filtered to: the name of the node, where tables have it. */
    term: at => at > 0 && NAMED.has(kind(at)) ? model.name(at).slice(0, 300) : '',
    share: (at, state) => model.own(state)[at] / model.own(state)[0],
    counted: at => LEAVES.has(kind(at)) || kind(at) === 'op' && !header.gpu ? plural(header.count[at], 'call')
      : waits(at) ? plural(header.count[at], 'stretch', 'stretches')
      : header.gpu ? plural(header.count[at], 'kernel, copy or memset', 'kernels, copies and memsets') : plural(header.count[at], 'op'),
    /** Of the time that has a floor, how much the device's peaks would allow. */
    floor(at) {
      const floor = header.floor[at], described = header.described[at];
      if (floor === null || floor === undefined || !described) return '';
      const part = described < header.ns[at] ? ` of the ${duration(described)} that have one` : '';
      return `floor ${duration(floor)}${part} (${share(floor / described)})`;
    },
    line: at => text(header.line[at]),
    category: at => text(header.category[at]),
    /** Commands that show this stretch in Perfetto. */
    command(low, high) {
      const room = Math.min(Math.max((high - low) * 2, 2e4), 2e5), from = Math.max(low - room, 0);
      const quoted = /^[\w.,@%+=:/-]+$/.test(header.trace) ? header.trace : `'${header.trace.replace(/'/g, `'"'"'`)}'`;
      return `tracekit export ${quoted} cut.json.gz --from ${forCommand(from)} --to ${forCommand(high + room)} && tracekit open cut.json.gz`;
    },
  };
  return model;
}

/** Of the nodes of one name and kind the one with most time; the root is none. */
export function nodesByName(model) {
  const found = new Map(), {ns} = model.header;
  for (let node = 1; node < ns.length; node++) {
    const key = `${model.kind(node)} ${model.name(node)}`, known = found.get(key);
    if (known === undefined || ns[node] > ns[known]) found.set(key, node);
  }
  return [...found.values()];
}

/** One node in a sentence, for the readout and for those who cannot see. */
export function said(model, at, state) {
  const kind = model.shownKind(at), of = at > 0 ? `, ${share(model.share(at, state))} of all` : '';
  const path = model.path(at).slice(0, -1).map(model.name).join(' › ');
  return [
    `${kind === 'all' ? 'everything' : kind} ${kind === 'all' ? '' : model.name(at)}`.trim() + `: ${duration(model.header.ns[at])}${of}`,
    model.counted(at), model.category(at) && `kind: ${model.category(at)}`, path && `in ${path}`, model.floor(at),
    model.line(at) && `mostly by ${model.line(at)}`,
  ].filter(Boolean);
}

/** One slice in a sentence. */
export function saidOfSlice(model, row) {
  const {start, dur, node} = model.slices, at = node[row], track = model.tracks[model.track(row)];
  const out = [`${model.sliceText(row)}: ${duration(dur[row])}`, `at ${duration(start[row])}, on ${track.label}`];
  if (at < 0) return out;
  const floor = model.header.floor[at], calls = model.header.count[at];
  const path = model.path(at).slice(0, -1).map(model.name).join(' › ');
  if (path) out.push(`in ${path}`);
  if (model.kind(at) !== 'others' && !model.waits(at)) {
    if (calls > 1) out.push(`mean of ${count(calls)} ${duration(model.header.ns[at] / calls)}`);
    if (floor !== null && model.header.described[at] === model.header.ns[at]) out.push(`floor ${duration(floor / calls)}${calls > 1 ? ' on average' : ''}`);
    if (model.line(at)) out.push(`${calls > 1 ? 'mostly ' : ''}launched by ${model.line(at)}`);
  }
  return out;
}
