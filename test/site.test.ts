// SPDX-License-Identifier: MIT
/** What the site is made of: every export is documented, every picture is what its text says. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { listFiles, ROOT } from '../scripts/files.mjs';
import { draw, pictures } from '../scripts/pictures.mjs';

test('every export has a doc comment', () => {
  const exports = listFiles('docs/api-report').flatMap((path) => {
    const text = readFileSync(ROOT + path, 'utf8');
    return [
      ...text.matchAll(/^\/\/ @(?:public|alpha|beta)(.*)\nexport [\w ]*?(\w+)\b(?=[ <(:;])/gm),
    ].map(([, mark, name]) => ({
      name: `${path}: ${name}`,
      isDocumented: !/undocumented/.test(mark ?? ''),
    }));
  });
  expect(exports.length).toBeGreaterThan(200);
  expect(exports.filter(({ isDocumented }) => !isDocumented).map(({ name }) => name)).toEqual([]);
});

test('pictures are drawn from their texts: `npm run pictures`', () => {
  const drawn = pictures();
  expect(drawn.length).toBeGreaterThan(3);
  for (const { path, svg } of drawn) expect(readFileSync(ROOT + path, 'utf8'), path).toBe(svg);
});

test('a box has four corners, an arrow a tip, and the rest is text', () => {
  const svg = draw('┌─┐ a <b\n└─┘──▶', 'box');
  expect(svg).toContain('<text x="48" y="27">a &lt;b</text>');
  expect(svg.match(/M[\d.]+ [\d.]+[hv]/g)).toHaveLength(16);
  expect(svg.match(/Z/g)).toHaveLength(1);
});
