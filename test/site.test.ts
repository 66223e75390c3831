// SPDX-License-Identifier: MIT
/** What the site is made of: every export is documented, every picture is what its text says. */

import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { Browser } from '../scripts/browser.mjs';
import { listFiles, ROOT } from '../scripts/files.mjs';
import { problemsOf } from '../scripts/page-problems.mjs';
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

const browser = await Browser.launch();
afterAll(() => browser?.close());

describe.skipIf(browser === undefined)('in Chromium', () => {
  const problems = async (kind: string, text: string): Promise<readonly string[]> => {
    const page = await (browser as Browser).open(`data:${kind},${encodeURIComponent(text)}`);
    try {
      return await problemsOf(page);
    } finally {
      await page.close();
    }
  };

  test('what a reader of a page would stumble over is found', async () => {
    const style = '<style>:root{color-scheme:light dark}</style>';
    const html = (body: string): Promise<readonly string[]> =>
      problems('text/html', `<!doctype html>${style}${body}`);
    expect(await html('<p>well')).toEqual([]);
    expect(await html('<p style="width:500px">wide')).toEqual([
      expect.stringMatching(/^390 px, light: the page is 508 px wide, by <p /),
      expect.stringMatching(/^390 px, dark: the page is 508 px wide, by <p /),
    ]);
    expect(await html('<div style="overflow:auto"><p style="width:500px">wide')).toEqual([]);
    expect(await html('<pre style="width:9em;overflow:hidden">more than what has room')).toContain(
      '1280 px, light: cut off: more than what has room',
    );
    // On white #888 has 3.5, on the dark canvas, #121212, it has 5.3.
    expect(await html('<p style="color:#888">pale')).toEqual([
      '1280 px, light: contrast 3.5 of p., such as "pale"',
      '390 px, light: contrast 3.5 of p., such as "pale"',
    ]);
    const dark = '<div style="background:#8888;opacity:.9"><p class="x" style="color:#d00">dim';
    expect(await html(dark)).toContainEqual(
      expect.stringMatching(/^390 px, dark: contrast .* p\.x/),
    );
    expect(await html('<img src="no-such.png">')).toContainEqual(
      expect.stringMatching(/^1280 px, light: there is no picture /),
    );
    expect(await html('<script>console.warn("hm"); nothing()</script>')).toEqual([
      'console.warning: hm',
      expect.stringMatching(/^ReferenceError: nothing is not defined/),
    ]);
  });

  test('what lies over something else in a picture is found', async () => {
    const svg = (body: string): Promise<readonly string[]> =>
      problems(
        'image/svg+xml',
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 99 40">
        <style>svg{background:#fff}text{font:9px monospace}</style>${body}</svg>`,
      );
    const line = '<path stroke="#000" d="M50 10v20"/>';
    expect(await svg(`<text x="9" y="20">one</text><text x="59" y="20">two</text>${line}`)).toEqual(
      [],
    );
    expect(await svg('<text x="9" y="20">one</text><text x="20" y="20">two</text>')).toEqual([
      '"one" lies over two',
    ]);
    expect(await svg(`<text x="39" y="20">one</text>${line}`)).toEqual(['"one" lies over a line']);
    expect(await svg('<text x="90" y="20">one</text>')).toEqual([
      '"one" reaches out of the picture',
    ]);
    expect(await svg('<text x="9" y="20" fill="#999">one</text>')).toHaveLength(4);
  });
});
