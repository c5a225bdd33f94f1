// The page: what listens at once, what is drawn when the text is there.
import {drawCharts, listenToCharts} from './charts.js';
import {goTo, listenToContents} from './contents.js';
import {parts} from './parts.js';
import {listenToSearch} from './search.js';
import {listenToTables} from './tables.js';

// for screen readers, and for whoever waits until the page is still
function busy() {
  const main = document.querySelector('main');
  let seconds = 0;
  const pulse = setInterval(() => main.setAttribute('data-drawing', seconds += 0.2), 200);
  main.setAttribute('aria-busy', 'true');
  return () => { clearInterval(pulse); main.removeAttribute('data-drawing'); main.removeAttribute('aria-busy'); };
}

listenToTables();
listenToCharts();
listenToContents();
listenToSearch();
(async () => {
  const done = busy();
  try {
    await new Promise(next => requestAnimationFrame(() => setTimeout(next, 0)));  // the text first
    for (const part of parts) await part.draw?.();
    goTo(location.hash);
    await drawCharts();
  } finally { done(); }
})();
