// The tree: what stands where, and where the arrow keys lead. Nothing here draws.

/** Children of each node, in the order in which Python wrote them. */
export function family(parent) {
  const children = parent.map(() => []);
  parent.forEach((above, node) => { if (above >= 0) children[above].push(node); });
  return children;
}

/** The nodes from the outermost down to one, itself included. */
export function ancestry(parent, node) {
  const out = [];
  for (let at = node; at >= 0; at = parent[at]) out.unshift(at);
  return out;
}

/** What each node is wide: its time, without what is hidden below it. */
export function widths(tree, hidden) {
  const own = Float64Array.from(tree.ns);
  if (!hidden) return own;
  for (let node = 1; node < own.length; node++) {
    if (!hidden(node) || hidden(tree.parent[node])) continue;  // it is gone with what it is in
    const gone = own[node];
    for (let at = tree.parent[node]; at >= 0; at = tree.parent[at]) own[at] -= gone;
  }
  for (let node = 1; node < own.length; node++) if (hidden(node)) own[node] = 0;
  return own;
}

/** Boxes below a node, and those around it as whole rows: [{node, row, x, width}], in [0, 1]. */
export function layout(tree, children, own, focus, least) {
  const boxes = [];
  ancestry(tree.parent, focus).forEach((node, row) => boxes.push({node, row, x: 0, width: 1}));
  const top = boxes.length;
  const fill = (node, row, x, width) => {
    let at = x;
    for (const child of children[node]) {
      const size = own[node] ? width * own[child] / own[node] : 0;
      if (size >= least) {
        boxes.push({node: child, row, x: at, width: size});
        fill(child, row + 1, at, size);
      }
      at += size;
    }
  };
  fill(focus, top, 0, 1);
  return boxes;
}

/** Where an arrow key leads from a node; the node itself where there is nothing. */
export function neighbour(tree, children, own, node, key) {
  const above = tree.parent[node];
  if (key === 'ArrowUp') return above < 0 ? node : above;
  if (key === 'ArrowDown') return longest(children[node], own) ?? node;
  if (above < 0) return node;
  const shown = children[above].filter(child => own[child] > 0), at = shown.indexOf(node);
  const to = at + (key === 'ArrowRight' ? 1 : -1);
  return shown[to] ?? node;
}

function longest(nodes, own) {
  const shown = nodes.filter(node => own[node] > 0);
  return shown.length ? shown.reduce((best, node) => own[node] > own[best] ? node : best) : undefined;
}

/** A text cut to `most` letters; where others of the row would be cut to the same, what differs stays. */
export function cut(text, most, others = []) {
  if (text.length <= most) return text;
  const plain = text.slice(0, most - 1);
  const alike = others.filter(other => other !== text && other.startsWith(plain));
  if (!alike.length || most < 6) return plain + '…';
  let from = 0;
  for (const other of alike) {
    let at = plain.length;
    while (at < text.length && text[at] === other[at]) at++;
    from = Math.max(from, at);
  }
  const head = Math.min(Math.floor((most - 1) / 3), 8), tail = most - head - 1;
  return text.slice(0, head) + '…' + text.slice(Math.min(from, text.length - tail)).slice(0, tail);
}
