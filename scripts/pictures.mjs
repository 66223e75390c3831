// SPDX-License-Identifier: MIT
/**
 * Draws `docs/pictures/NAME.txt` as `NAME.svg`: boxes and arrows become lines, the rest is text.
 *
 * `npm run pictures` writes them; test/site.test.ts fails if one is not what its text says.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { listFiles, ROOT } from './files.mjs';

const [WIDTH, HEIGHT, MARGIN] = [9, 20, 12];
/** From the middle of a cell: to the left, right, top and bottom. */
const LINES = {
  '─': 'lr',
  '│': 'tb',
  '┌': 'rb',
  '┐': 'lb',
  '└': 'rt',
  '┘': 'lt',
  '├': 'rtb',
  '┤': 'ltb',
  '┬': 'lrb',
  '┴': 'lrt',
  '┼': 'lrtb',
};
/** The tip of an arrow, seen from the middle of its cell. */
const TIPS = { '▶': [1, 0], '◀': [-1, 0], '▲': [0, -1], '▼': [0, 1] };

/** The picture of a text. */
export function draw(text, title) {
  const rows = text.trimEnd().split('\n');
  const columns = Math.max(...rows.map((row) => [...row].length));
  const [width, height] = [columns * WIDTH + 2 * MARGIN, rows.length * HEIGHT + 2 * MARGIN];
  const lines = [];
  const tips = [];
  const words = [];
  for (const [row, content] of rows.entries()) {
    const y = MARGIN + (row + 0.5) * HEIGHT;
    const plain = [...content].map((sign, column) => {
      const x = MARGIN + (column + 0.5) * WIDTH;
      for (const way of LINES[sign] ?? '') lines.push(`M${x} ${y}${stroke(way)}`);
      if (TIPS[sign] !== undefined) tips.push(tip(x, y, TIPS[sign]));
      return sign in LINES || sign in TIPS ? ' ' : sign;
    });
    for (const { index, 0: word } of plain.join('').matchAll(/\S+(?: \S+)*/g)) {
      words.push(`<text x="${MARGIN + index * WIDTH}" y="${y + 5}">${escaped(word)}</text>`);
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(title)}</title>
<style>svg{color:#1f2328;background:#fff}@media(prefers-color-scheme:dark){svg{color:#e6edf3;\
background:#0d1117}}text{font:15px ui-monospace,Menlo,Consolas,monospace;fill:currentColor}</style>
<path d="${lines.join('')}" stroke="currentColor" fill="none"/>
<path d="${tips.join('')}" fill="currentColor"/>
${words.join('\n')}
</svg>
`;
}

function stroke(way) {
  return { l: `h${-WIDTH / 2}`, r: `h${WIDTH / 2}`, t: `v${-HEIGHT / 2}`, b: `v${HEIGHT / 2}` }[
    way
  ];
}

/** An arrow's line, up to the cell's edge, and its tip. */
function tip(x, y, [dx, dy]) {
  const [length, half] = [WIDTH / 2 + 3, 4];
  const [baseX, baseY] = [x - (dx * WIDTH) / 2, y - (dy * HEIGHT) / 2];
  const [endX, endY] = [x + dx * length, y + dy * length];
  const side = (sign) => `${baseX + sign * dy * half} ${baseY + sign * dx * half}`;
  return `M${side(-1)}L${endX} ${endY}L${side(1)}Z`;
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** By path: what each picture has to be. */
export function pictures() {
  return listFiles('docs/pictures')
    .filter((path) => path.endsWith('.txt'))
    .map((path) => {
      const title = path.replace(/^.*\//, '').replace('.txt', '').replaceAll('-', ' ');
      const svg = draw(readFileSync(ROOT + path, 'utf8'), title);
      return { path: path.replace(/txt$/, 'svg'), svg };
    });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { path, svg } of pictures()) writeFileSync(ROOT + path, svg);
}
