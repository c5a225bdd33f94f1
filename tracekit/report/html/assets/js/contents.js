// The contents that follow the reader, sections that fold, addresses, findings as Markdown.
import {all, byId, copyText, make, plain, reveal, unpackFold} from './dom.js';
import {parse, remember} from './fragment.js';
import {showChart} from './charts.js';
import {showPart} from './parts.js';
import {arrived, showTable} from './tables.js';

/** Which section the reader is in: the last that begins above a line; the first where none does. */
export function current(tops, line) {
  let at = 0;
  tops.forEach((top, i) => { if (top <= line) at = i; });
  return at;
}

function follow() {
  const links = all('nav a[href^="#"]'), sections = links.map(link => byId(link.getAttribute('href').slice(1)));
  let waiting = 0, last = null;
  const update = () => {
    waiting = 0;
    const known = sections.filter(Boolean);
    const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
    const at = end ? known.length - 1 : current(known.map(section => section.getBoundingClientRect().top), innerHeight * 0.3);
    const link = links[sections.indexOf(known[at])];
    if (link === last) return;
    last?.removeAttribute('aria-current');
    link?.setAttribute('aria-current', 'location');
    last = link;
    const list = link?.closest('ul');
    if (list && list.scrollWidth > list.clientWidth) list.scrollLeft = link.offsetLeft - list.offsetLeft - 40;
    else link?.scrollIntoView({block: 'nearest'});
  };
  addEventListener('scroll', () => { waiting ||= requestAnimationFrame(update); }, {passive: true});
  addEventListener('resize', () => { waiting ||= requestAnimationFrame(update); });
  update();
}

function fold(section, folded) {
  section.classList.toggle('folded', folded);
  section.querySelector('h2 button')?.setAttribute('aria-expanded', !folded);
}

function folds() {
  const sections = all('main > section').filter(section => !section.querySelector('h2').classList.contains('vh'));
  for (const section of sections) {
    const head = section.querySelector('h2'), text = plain(head.textContent);
    head.replaceChildren(make('button', {type: 'button', class: 'fold', 'aria-expanded': 'true', onclick: () => fold(section, !section.classList.contains('folded'))}, text));
    section.addEventListener('unfold', () => fold(section, false));
  }
  const every = make('button', {type: 'button', class: 'foldall', 'aria-pressed': 'false', onclick: () => {
    const on = every.getAttribute('aria-pressed') !== 'true';
    every.setAttribute('aria-pressed', on);
    every.textContent = on ? 'Unfold all sections' : 'Fold all sections';
    sections.forEach(section => fold(section, on));
  }}, 'Fold all sections');
  document.querySelector('nav ul').insertAdjacentElement('afterend', every);
}

/** A finding as Markdown: the claim, what it would save, what to do, and of which run. */
export function markdown({claim, saves, todo, of}) {
  const escaped = text => text.replace(/[\\*<>[\]]|(?<!\w)_|_(?!\w)/g, '\\$&');
  return [`**${escaped(claim)}**${saves ? ` ${escaped(saves)}` : ''}`, todo && escaped(todo), `_${escaped(of)}_`].filter(Boolean).join('\n\n') + '\n';
}

/** The text of an element, code between backticks, without what `but` names. */
function marked(element, but) {
  const copy = element.cloneNode(true);
  for (const gone of all(but, copy)) gone.remove();
  for (const code of all('code', copy)) code.replaceWith('`' + code.textContent + '`');
  return plain(copy.textContent);
}

function findings() {
  const of = () => {
    const [title, about] = ['h1', 'header p'].map(place => plain(document.querySelector(place)?.textContent || ''));
    return about.includes(title) ? about : `${title}: ${about}`;
  };
  for (const item of all('.finds > li')) {
    const todo = item.querySelector('.todo'), saves = item.querySelector('.save');
    const text = () => markdown({
      claim: marked(item, '.todo, .save, button'), saves: saves ? plain(saves.textContent) : '',
      todo: todo ? marked(todo, 'a, button') : '', of: of(),
    });
    const button = make('button', {type: 'button', class: 'copymd', onclick: async () => {
      await copyText(text(), button);
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy as Markdown'; }, 1500);
    }}, 'Copy as Markdown');
    (todo || item).append(' ', button);
  }
}

/** Goes where an address leads: a section, a chart, a table, a row of it, a state of the picture. */
export function goTo(fragment) {
  const {anchor, state} = parse(fragment);
  if (!anchor) return;
  if (!byId(anchor) && anchor.startsWith('tk-')) all('details.more').forEach(unpackFold);
  const element = byId(anchor);
  if (!element) return;
  reveal(element);
  if (element.matches('section.folded')) fold(element, false);
  (element.closest('figure') || element).scrollIntoView({block: element.tagName === 'TABLE' ? 'center' : 'start'});
  if (Object.keys(state).length) showTable(anchor, state) || showPart(anchor, state) || showChart(anchor, state);
}

export function listenToContents() {
  all('details.more').forEach(own => own.addEventListener('toggle', () => { unpackFold(own); arrived(own); }));
  folds();
  findings();
  follow();
  document.addEventListener('click', event => {
    const link = event.target.closest('a[href^="#"]');
    if (!link || link.classList.contains('skip')) return;
    event.preventDefault();
    const fragment = link.getAttribute('href');
    remember(fragment.slice(1), {});
    goTo(fragment);
    byId(fragment.slice(1))?.focus?.({preventScroll: true});
  });
  addEventListener('hashchange', () => goTo(location.hash));
}
