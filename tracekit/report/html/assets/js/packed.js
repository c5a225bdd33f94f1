// What Python packed: bytes out of base64, columns out of bytes.

export function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

export const unzipped = bytes => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')));

/** The numbers of a column that stands byte by byte, the lowest of all first. */
export function column(bytes, at, length, width) {
  const out = new Float64Array(length);
  let by = 1;
  for (let plane = 0; plane < width; plane++, by *= 256) {
    const from = at + plane * length;
    for (let i = 0; i < length; i++) out[i] += bytes[from + i] * by;
  }
  return out;
}

/** The header, and the columns by name: see picture.py. */
export function unpack(buffer) {
  const bytes = new Uint8Array(buffer);
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  const columns = {};
  let at = 4 + size;
  for (const [name, length, width] of header.columns) {
    columns[name] = column(bytes, at, length, width);
    at += length * width;
  }
  return {header, columns: withStarts(header, columns)};
}

/** Starts were written as differences to the slice before on the same track. */
function withStarts(header, columns) {
  const {start, restStart, restTrack} = columns;
  let at = 0;
  for (const count of header.perTrack) {
    for (let i = 0; i < count; i++, at++) start[at] += i ? start[at - 1] : header.start;
  }
  for (let i = 0; i < restStart.length; i++) restStart[i] += i && restTrack[i] === restTrack[i - 1] ? restStart[i - 1] : header.start;
  return columns;
}
