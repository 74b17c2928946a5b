// The script of every page of remap: filters lines, opens and closes trees, shows the way of a tensor. What a checkpoint
// says is only ever set as text. Without this script the page has all but the ways.
(() => {
  'use strict';
  const all = (selector, of = document) => Array.from(of.querySelectorAll(selector));
  const make = (name, text) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const holder = document.getElementById('data');
  const ways = holder ? JSON.parse(holder.textContent).ways || [] : [];
  const numbers = (leaf) => (leaf.dataset.ways ? leaf.dataset.ways.split(' ').map(Number) : []);

  // A leaf is found by what it shows, by the branches that it is under, and by its ways.
  const text = (leaf) => {
    const parts = [leaf.textContent];
    for (let at = leaf.parentElement.closest('details'); at; at = at.parentElement.closest('details'))
      parts.unshift(at.querySelector('.name') ? at.querySelector('.name').textContent : '');
    for (const way of numbers(leaf).map((n) => ways[n])) parts.push(way.to, way.from.join(' '), way.rule, way.place);
    return (parts.join('') + ' ' + parts.join(' ')).toLowerCase();
  };
  const leaves = all('.leaf').map((element) => ({element}));
  const branches = all('main details');
  const input = document.getElementById('filter');

  if (input && leaves.length > 0) {
    const count = document.getElementById('count');
    let before = null;  // which branches were open when filtering began
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const leaf of leaves) {
        if (leaf.text === undefined && words.length > 0) leaf.text = text(leaf.element);
        const fits = words.every((word) => leaf.text.includes(word));
        leaf.element.hidden = !fits;
        shown += fits;
      }
      if (words.length > 0 && before === null) before = branches.map((branch) => branch.open);
      // From the innermost outwards: a branch is shown if anything below it is.
      branches.slice().reverse().forEach((branch) => {
        if (branch.closest('.json')) return;
        const any = Array.from(branch.lastElementChild.children).some((item) => !item.hidden);
        if (branch.parentElement.tagName === 'LI') branch.parentElement.hidden = !any;
        if (words.length > 0) branch.open = any;
      });
      if (words.length === 0 && before !== null) {
        branches.forEach((branch, i) => { branch.open = before[i]; });
        before = null;
      }
      count.textContent = words.length === 0 ? '' : `${shown} of ${leaves.length} ${count.dataset.what}`;
    };
    let waiting = 0;
    input.addEventListener('input', () => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(filter);
    });
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      input.value = '';
      filter();
    });
    document.addEventListener('keydown', (event) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.target === input) return;
      event.preventDefault();
      input.focus();
    });
    document.querySelector('.tools').hidden = false;
    for (const [id, open] of [['open', true], ['close', false]]) {
      const button = document.getElementById(id);
      if (button) button.addEventListener('click', () => branches.forEach((branch) => { branch.open = open; }));
    }
  }

  // Up and down go from line to line, left closes a branch or goes to it, right opens it.
  const items = (tree) => all('summary, .leaf > button', tree).filter((item) => item.offsetParent !== null);
  for (const tree of all('.tree')) {
    tree.addEventListener('keydown', (event) => {
      const item = event.target;
      const branch = item.tagName === 'SUMMARY' ? item.parentElement : null;
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      if (step) {
        const list = items(tree);
        const next = list[list.indexOf(item) + step];
        if (next) next.focus();
      } else if (event.key === 'ArrowRight' && branch) {
        branch.open = true;
      } else if (event.key === 'ArrowLeft') {
        const outer = branch && branch.open ? branch : item.parentElement.parentElement.closest('details');
        if (!outer) return;
        outer.open = false;
        outer.querySelector('summary').focus();
      } else {
        return;
      }
      event.preventDefault();
    });
  }

  const panel = document.getElementById('way');
  if (!panel || ways.length === 0) return;
  const by_way = ways.map(() => []);
  for (const leaf of leaves) for (const n of numbers(leaf.element)) by_way[n].push(leaf.element);
  const line = (list, name, value) => {
    if (value === undefined || value === '' || value.length === 0) return;
    list.append(make('dt', name));
    for (const one of Array.isArray(value) ? value : [value]) list.append(make('dd', one));
  };
  let shown = null, pinned = null;
  const show = (leaf) => {
    if (leaf === shown) return;
    for (const other of all('.near')) other.classList.remove('near');
    shown = leaf;
    panel.replaceChildren();
    const several = numbers(leaf);
    for (const n of several) for (const other of by_way[n]) other.classList.add('near');
    const kMost = 4;
    for (const way of several.slice(0, kMost).map((n) => ways[n])) {
      const list = make('dl');
      line(list, 'target', `${way.to}  ${way.what}`);
      line(list, way.from.length > 1 ? 'sources' : 'source', way.from);
      line(list, 'steps', way.steps.join(' → '));
      line(list, 'rule', `${way.place}  ${way.rule}`);
      if (way.captures && way.captures.length > 0)
        line(list, 'captures', way.captures.map((pair) => `${pair[0]} = ${pair[1]}`).join(', ') +
             (way.example ? `   (of ${way.example})` : ''));
      line(list, 'dims', way.dims);
      line(list, 'in all', `${way.size}, ${way.kind}`);
      line(list, 'not reversible', way.irreversible);
      panel.append(list);
    }
    if (several.length > kMost) panel.append(make('p', `and ${several.length - kMost} more`));
    panel.hidden = several.length === 0;
  };
  for (const tree of all('.tree')) {
    tree.classList.add('ways');
    const of = (event) => event.target.closest('.leaf[data-ways]');
    tree.addEventListener('mouseover', (event) => { if (of(event) && !pinned) show(of(event)); });
    tree.addEventListener('focusin', (event) => { if (of(event)) { pinned = null; show(of(event)); } });
    tree.addEventListener('click', (event) => {
      const leaf = of(event);
      if (!leaf) return;
      pinned = pinned === leaf ? null : leaf;
      show(leaf);
      // The other side, wherever it is folded away.
      for (const n of numbers(leaf))
        for (const other of by_way[n]) {
          if (other === leaf) continue;
          for (let at = other.closest('details'); at; at = at.parentElement.closest('details')) at.open = true;
          if (n === numbers(leaf)[0] && other.closest('.tree') !== tree) other.scrollIntoView({block: 'nearest'});
        }
    });
  }
})();
