// Slices on their tracks: levels of nesting, what a stretch of time shows, what lies under a point.

/** For each track the rows of its slices by level: a slice lies on the first level that is free. */
export function levels(perTrack, start, dur) {
  let from = 0;
  return perTrack.map(count => {
    const found = [], open = [];
    for (let i = from; i < from + count; i++) {
      while (open.length && open[open.length - 1] <= start[i]) open.pop();
      // what crosses the one before, and so encloses nothing, goes one level down all the same
      const level = open.length;
      (found[level] ||= []).push(i);
      open.push(start[i] + dur[i]);
    }
    from += count;
    return found.map(rows => Int32Array.from(rows));
  });
}

/** The first of `rows` (sorted, none over another) that ends after an instant. */
export function firstAfter(rows, start, dur, instant) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start[rows[middle]] + dur[rows[middle]] > instant) high = middle; else low = middle + 1;
  }
  return low;
}

/** The slice of a level at an instant; within `slack` ns of it where none is under it; -1 for none. */
export function sliceAt(rows, start, dur, instant, slack = 0) {
  const place = firstAfter(rows, start, dur, instant - slack);
  const row = rows[place];
  return row !== undefined && start[row] <= instant + slack ? row : -1;
}

/** Which levels say something in [low, high]: not those in which one slice covers nearly all of it. */
export function telling(track, start, dur, low, high, most) {
  const seen = [], out = [];
  for (let level = 0; level < track.length && out.length < most; level++) {
    const rows = track[level], row = rows[firstAfter(rows, start, dur, low)];
    if (row === undefined || start[row] >= high) continue;
    seen.push(level);
    const covered = Math.min(start[row] + dur[row], high) - Math.max(start[row], low);
    if (covered < 0.95 * (high - low)) out.push(level);
  }
  return out.length ? out : seen.slice(-most);
}

/**
 * Calls `wide(row, x, width)` for each slice of a level at least `least` pixels wide, and adds what
 * is thinner up in `thin`: how much of each pixel it covers, and the longest in it.
 */
export function paintLevel(rows, start, dur, view, width, least, wide, thin) {
  const by = width / (view[1] - view[0]);
  for (let i = firstAfter(rows, start, dur, view[0]); i < rows.length; i++) {
    const row = rows[i], x = (start[row] - view[0]) * by;
    if (x > width) break;
    const size = dur[row] * by;
    if (size >= least) { wide(row, x, size); continue; }
    const pixel = Math.min(Math.max(Math.floor(x), 0), width - 1);
    thin.cover[pixel] += size;
    if (dur[row] >= thin.longest[pixel]) { thin.longest[pixel] = dur[row]; thin.row[pixel] = row; }
  }
}

/** A place for what is thinner than a pixel. */
export const thinRow = width => ({
  cover: new Float32Array(width), longest: new Float64Array(width).fill(-1), row: new Int32Array(width).fill(-1),
});

/** A stretch after zooming by `factor` around an instant, within bounds, at least `least` long. */
export function zoomed(view, bounds, around, factor, least = 20) {
  const size = Math.min(Math.max((view[1] - view[0]) * factor, least), bounds[1] - bounds[0]);
  const part = (around - view[0]) / (view[1] - view[0]);
  return within([around - part * size, around + (1 - part) * size], bounds);
}

/** A stretch moved into bounds, its length kept where it fits. */
export function within([low, high], [first, last]) {
  const size = Math.min(high - low, last - first);
  const from = Math.min(Math.max(low, first), last - size);
  return [from, from + size];
}

/** The slice of a node that starts after (step 1) or before (-1) a row; round and round; -1 for none. */
export function nextOf(rows, start, from, step) {
  if (!rows.length) return -1;
  const here = from < 0 ? -1 : rows.indexOf(from);
  if (here >= 0) return rows[(here + step + rows.length) % rows.length];
  return rows[step > 0 ? 0 : rows.length - 1];
}
