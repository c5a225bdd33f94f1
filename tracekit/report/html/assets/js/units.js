// Times and counts as text: the same words as in the tables.

const STEPS = [[1e6, 1e3, 'µs'], [1e9, 1e6, 'ms'], [Infinity, 1e9, 's']];

/** Three significant digits, thousands with commas. */
export function three(value) {
  const size = Math.abs(value);
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return value.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

/** ns with three significant digits in ns, µs, ms or s. */
export function duration(ns) {
  if (Math.abs(ns) < 1000) return `${Math.round(ns)} ns`;
  const [, by, unit] = STEPS.find(([limit]) => Math.abs(ns) < limit * 0.9995);
  return `${three(ns / by)} ${unit}`;
}

/** An instant in the unit that fits `step`, with as many digits as `step` tells apart. */
export function instant(ns, step) {
  const [by, unit] = step >= 1e9 ? [1e9, 's'] : step >= 1e5 ? [1e6, 'ms'] : step >= 100 ? [1e3, 'µs'] : [1, 'ns'];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / by) - 1e-9));
  return `${(ns / by).toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits})} ${unit}`;
}

/** What `tracekit export --from` reads: whole ns, so that nothing is rounded away. */
export function forCommand(ns) {
  const whole = Math.max(Math.round(ns), 0);
  return whole % 1000 ? `${whole}ns` : whole % 1e6 ? `${whole / 1000}us` : `${whole / 1e6}ms`;
}

export const share = part => part > 0 && part < 0.001 ? '<0.1%' : `${(100 * part).toFixed(1)}%`;
export const count = n => n.toLocaleString('en-US');
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** Round places for ticks in [low, high], at most `most` of them: [step, [ns, …]]. */
export function ticks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map(by => by * power).find(size => size >= rough) || 10 * power;
  const out = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) out.push(at);
  return [step, out];
}
