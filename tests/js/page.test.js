// The page's script without a page: run by `node --test tests/js`, and by tests/unit/test_page_script.py.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {gzipSync} from 'node:zlib';

const folder = '../../tracekit/report/html/assets/js/';
const load = name => import(folder + name);
const [units, fragment, packed, icicle, lanes, model] = await Promise.all(
  ['units.js', 'fragment.js', 'packed.js', 'picture/icicle.js', 'picture/lanes.js', 'picture/model.js'].map(load));

test('times have three significant digits in a fitting unit', () => {
  assert.deepEqual([0, 999, 1000, 12345, 999500, 1234567, 5e9].map(units.duration),
    ['0 ns', '999 ns', '1.00 µs', '12.3 µs', '1.00 ms', '1.23 ms', '5.00 s']);
  assert.equal(units.forCommand(12_345_678), '12345678ns');
  assert.equal(units.forCommand(12_345_000), '12345us');
  assert.equal(units.forCommand(3_000_000), '3ms');
});

test('ticks are round, inside, and no more than there is room for', () => {
  const [step, at] = units.ticks(1234, 98765, 5);
  assert.equal(step, 20000);
  assert.deepEqual(at, [20000, 40000, 60000, 80000]);
  assert.equal(units.instant(12_500_000, 500_000), '12.5 ms');
});

test('an address says a state and is read back, whatever the text', () => {
  const state = {q: 'a&b=c d', view: '10,20', node: 7};
  const text = fragment.format('tk-tree-picture', state);
  assert.equal(text, '#tk-tree-picture?q=a%26b%3Dc+d&view=10,20&node=7');
  assert.deepEqual(fragment.parse(text), {anchor: 'tk-tree-picture', state: {q: 'a&b=c d', view: '10,20', node: '7'}});
  assert.equal(fragment.format('kernels', {q: '', row: null}), '#kernels');
  assert.deepEqual(fragment.parse('#kernels'), {anchor: 'kernels', state: {}});
  assert.deepEqual(fragment.parse('#%E0%A4%A?x'), {anchor: '%E0%A4%A', state: {}});
  assert.deepEqual([fragment.range('3,9'), fragment.range('9,3'), fragment.range('x,1'), fragment.range(undefined)], [[3, 9], null, null, null]);
});

const planes = (values, width) => {
  const out = [];
  for (let plane = 0; plane < width; plane++) for (const value of values) out.push(Math.floor(value / 256 ** plane) % 256);
  return out;
};

test('columns come out as they were packed, starts from differences on each track', async () => {
  const columns = [['start', 3, 5], ['dur', 3, 1], ['restTrack', 2, 1], ['restStart', 2, 2]];
  const header = {start: 100, perTrack: [2, 1], columns};
  const text = new TextEncoder().encode(JSON.stringify(header));
  const size = new Uint8Array(new Uint32Array([text.length]).buffer);
  const body = [...planes([5, 2 ** 33, 7], 5), ...planes([1, 2, 3], 1), ...planes([0, 0], 1), ...planes([300, 20], 2)];
  const base64 = gzipSync(Buffer.from([...size, ...text, ...body])).toString('base64');
  const buffer = await (await packed.unzipped(packed.bytesOf(base64))).arrayBuffer();
  const found = packed.unpack(buffer);
  assert.deepEqual([...found.columns.start], [105, 105 + 2 ** 33, 107]);
  assert.deepEqual([...found.columns.dur], [1, 2, 3]);
  assert.deepEqual([...found.columns.restStart], [400, 420]);
});

// all 100: a stage 70 (a kernel 40, idle 30), another stage 30
const tree = {parent: [-1, 0, 1, 1, 0], ns: [100, 70, 40, 30, 30]};
const children = icicle.family(tree.parent);

test('the icicle gives each part its share, and none to what is hidden', () => {
  const every = icicle.widths(tree), without = icicle.widths(tree, node => node === 3);
  assert.deepEqual([...every], tree.ns);
  assert.deepEqual([...without], [70, 40, 40, 0, 30]);
  const boxes = icicle.layout(tree, children, every, 0, 0);
  const at = node => boxes.find(box => box.node === node);
  assert.deepEqual([at(1).x, at(1).width, at(3).row], [0, 0.7, 2]);
  assert.ok(Math.abs(at(3).x - 0.4) < 1e-12 && Math.abs(at(3).width - 0.3) < 1e-12);
  const focused = icicle.layout(tree, children, every, 1, 0);
  assert.deepEqual(focused.filter(box => box.width === 1).map(box => box.node), [0, 1]);
  assert.ok(!icicle.layout(tree, children, every, 0, 0.35).some(box => box.node === 3));
});

test('arrow keys walk through the tree and stay where there is nothing', () => {
  const own = icicle.widths(tree), to = (node, key) => icicle.neighbour(tree, children, own, node, key);
  assert.deepEqual([to(0, 'ArrowDown'), to(1, 'ArrowDown'), to(2, 'ArrowRight'), to(3, 'ArrowRight'), to(2, 'ArrowUp'), to(0, 'ArrowUp'), to(4, 'ArrowLeft')], [1, 2, 3, 3, 1, 0, 1]);
});

test('what is cut keeps that in which it differs from its row', () => {
  const row = ['Cijk_Alik_Bljk BBS MT256x32x64 WG64', 'Cijk_Alik_Bljk BBS MT16x32x256 WG16', 'paged_attention'];
  assert.deepEqual(row.map(text => icicle.cut(text, 15, row)), ['Cijk…256x32x64 ', 'Cijk…16x32x256 ', 'paged_attention']);
  assert.equal(icicle.cut('paged_attention', 8, row), 'paged_a…');
  assert.equal(icicle.cut(row[0], 5, row), 'Cijk…');
});

// track 0: a [0, 100) holds b [10, 30) holds c [12, 14), then d [40, 41); track 1: e [5, 6)
const start = [0, 10, 12, 40, 5], dur = [100, 20, 2, 1, 1];
const levels = lanes.levels([4, 1], start, dur);

test('nested slices stand on levels of their own', () => {
  assert.deepEqual(levels.map(track => track.map(rows => [...rows])), [[[0], [1, 3], [2]], [[4]]]);
  assert.deepEqual([lanes.sliceAt(levels[0][1], start, dur, 15), lanes.sliceAt(levels[0][1], start, dur, 35), lanes.sliceAt(levels[0][1], start, dur, 35, 6)], [1, -1, 1]);
});

test('levels that one slice covers say nothing; where all are so the last are shown', () => {
  assert.deepEqual(lanes.telling(levels[0], start, dur, 0, 50, 9), [1, 2]);
  assert.deepEqual(lanes.telling(levels[0], start, dur, 60, 90, 9), [0]);
});

test('thin slices add up to how much of a pixel they cover, wide ones are drawn', () => {
  const thin = lanes.thinRow(10), wide = [];
  lanes.paintLevel(levels[0][1], start, dur, [0, 100], 10, 1.5, (row, x, size) => wide.push([row, x, size]), thin);
  assert.deepEqual(wide, [[1, 1, 2]]);
  assert.ok(Math.abs(thin.cover[4] - 0.1) < 1e-6);
  assert.equal(thin.row[4], 3);
});

test('zooming keeps what is under the pointer, stays in bounds, and ends at a few ns', () => {
  assert.deepEqual(lanes.zoomed([0, 100], [0, 100], 50, 0.5), [25, 75]);
  assert.deepEqual(lanes.zoomed([25, 75], [0, 100], 25, 4), [0, 100]);
  const deep = Array.from({length: 60}).reduce(view => lanes.zoomed(view, [0, 1e9], 5e8, 0.5), [0, 1e9]);
  assert.ok(deep[1] - deep[0] >= 19.9 && deep[0] <= 5e8 && deep[1] >= 5e8);
  assert.deepEqual(lanes.within([-10, 20], [0, 100]), [0, 30]);
  assert.deepEqual([lanes.nextOf([3, 5, 9], start, 5, 1), lanes.nextOf([3, 5, 9], start, 9, 1), lanes.nextOf([3, 5], start, -1, -1), lanes.nextOf([], start, -1, 1)], [9, 3, 5, -1]);
});

test('the model says what a node and a slice are, with their floor and the command for Perfetto', () => {
  const header = {
    gpu: true, start: 0, end: 1e6, view: [0, 1e6], trace: "it's.json", kinds: ['all', 'stage', 'kernel', 'idle'], tracks: [['stream 7', 'stream', 2, 3000]],
    names: [2], nameColours: [-1], parent: [-1, 0, 1, 1], kind: [0, 1, 2, 3], name: [0, 1, 2, 3], count: [3, 3, 2, 1], ns: [4000, 4000, 3000, 1000],
    floor: [1500, 1500, 1500, null], described: [3000, 3000, 3000, 0], line: [-1, -1, 4, -1], category: [-1, -1, 5, -1], colour: [-1, -1, 0, -1],
    colours: [['var(--gemm)', 'var(--on-dark)', '']], texts: ['all', 'decode', 'gemm<1>', 'idle', 'run.py:3 main', 'gemm'], short: {2: 'gemm'}, perTrack: [2],
  };
  const columns = {start: [0, 5000], dur: [1000, 2000], name: [0, 0], node: [3, 3], restTrack: [], restStart: [], restLength: [], restNs: [], restCount: []};
  const own = model.modelOf({header, columns}), state = {idle: true};
  assert.deepEqual(model.said(own, 2, state), ['kernel gemm<1>: 3.00 µs, 75.0% of all', '2 calls', 'kind: gemm', 'in decode', 'floor 1.50 µs (50.0%)', 'mostly by run.py:3 main']);
  assert.deepEqual(model.saidOfSlice(own, 1), ['gemm<1>: 2.00 µs', 'at 5.00 µs, on stream 7', 'in decode', 'mean of 2 1.50 µs', 'floor 750 ns on average', 'mostly launched by run.py:3 main']);
  assert.equal(own.command(1e6, 1.1e6), `tracekit export 'it'"'"'s.json' cut.json.gz --from 800us --to 1300us && tracekit open cut.json.gz`);
  assert.deepEqual([own.rowsOf(1), own.rowsOf(3), own.term(2), own.term(0)], [[0, 1], [], 'gemm<1>', '']);
  assert.equal(own.own({idle: false})[0], 3000);
  // of two nodes of one name a search finds the longer
  const twice = model.modelOf({header: {...header, parent: [-1, 0, 0, 1], kind: [0, 1, 1, 2], name: [0, 1, 1, 2], ns: [9, 4, 5, 3]}, columns});
  assert.deepEqual(model.nodesByName(twice), [2, 3]);
});
