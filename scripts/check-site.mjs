// SPDX-License-Identifier: MIT
/**
 * Checks the site that `npm run docs` has made: each link leads to a page and a place that exist,
 * and Chromium, if it is installed, shows every document and picture without a problem, on a
 * screen and on a phone, light and dark (page-problems.mjs).
 *
 * `npm run docs:check -- --pictures FOLDER` also writes what it shows into that folder.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, posix } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Browser } from './browser.mjs';
import { listFiles, ROOT } from './files.mjs';
import { problemsOf } from './page-problems.mjs';

const SITE = `${ROOT}build/site/`;
const CALCULATOR = 'documents/Sizing_a_pool.html';
/** The calculator has computed what it shows. */
const CALCULATED = 'of 16384 bytes; the pool has 512: enough</pre>';
/** Shown besides the documents: the README, pages with long names, drawings, and lists. */
const ALSO_SHOWN = [
  'index.html',
  'modules/link.html',
  'classes/index.BufferPool.html',
  'classes/index.ClientSubscriptions.html',
  'classes/index.LocalWriter.html',
  'functions/index.roundRobinPartitioner.html',
  'types/index.BusbarErrorCode.html',
];
/** Texts that the site's plugin is to make. */
const MADE = {
  'modules/link.html': '<code>busbar/link</code>: TCP, UDP',
  'classes/index.LocalWriter.html': '<pre><code class="text">',
  'types/index.BusbarErrorCode.html': 'ERR_BUSBAR_HANDLER_RESULT',
};
const PAGES_MIN = 300;
const DOCUMENTS_MIN = 25;

/** Whether there are no problems; prints each. Pictures of the pages go into `folder`. */
export async function checkSite(folder = undefined) {
  const paths = readdirSync(SITE, { recursive: true, encoding: 'utf8' });
  const pages = new Map(
    paths.filter((path) => path.endsWith('.html')).map((path) => [path, readPage(path)]),
  );
  const problems = [...pages].flatMap(([path, { links }]) =>
    links.flatMap((link) => problemOf(pages, path, link)),
  );
  const documents = [...pages.keys()].filter((path) => path.startsWith('documents/')).sort();
  for (const [path, text] of Object.entries(MADE)) {
    if (!readFileSync(SITE + path, 'utf8').includes(text)) problems.push(`${path}: no ${text}`);
  }
  if (pages.size < PAGES_MIN) problems.push(`there are only ${pages.size} pages`);
  if (documents.length < DOCUMENTS_MIN) problems.push(`only ${documents.length} documents`);
  const shown = [
    ...[...ALSO_SHOWN, ...documents].map((path) => SITE + path),
    ...listFiles('docs/pictures')
      .filter((path) => path.endsWith('.svg'))
      .map((path) => ROOT + path),
  ];
  for (const problem of problems) console.error(problem);
  const count = problems.length + (await showAll(shown, folder));
  const links = [...pages.values()].reduce((sum, page) => sum + page.links.length, 0);
  console.log(`${pages.size} pages, ${links} links, ${shown.length} shown, ${count} problems`);
  return count === 0;
}

function readPage(path) {
  const text = readFileSync(SITE + path, 'utf8');
  const all = (pattern) => [...text.matchAll(pattern)].map(([, found]) => unescaped(found));
  return { links: all(/\s(?:href|src)="([^"]*)"/g), ids: new Set(all(/\sid="([^"]*)"/g)) };
}

function unescaped(text) {
  return text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");
}

function problemOf(pages, path, link) {
  if (/^[a-z]+:/.test(link)) return [];
  const [file, place] = link.split('#').map(decodeURIComponent);
  const target = file === '' ? path : posix.join(posix.dirname(path), file);
  if (!existsSync(SITE + target)) return [`${path}: ${link} leads to no file`];
  const page = pages.get(target);
  if (!place || page === undefined || page.ids.has(place)) return [];
  return [`${path}: ${link} leads to no place of the page`];
}

/** How many problems the files have in Chromium; prints each. */
async function showAll(files, folder) {
  const browser = await Browser.launch();
  if (browser === undefined) return 0;
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  let count = 0;
  try {
    for (const file of files) {
      const page = await browser.open(pathToFileURL(file).href);
      const name = basename(file).replace(/\.html$/, '');
      const found = await problemsOf(page, async ({ width, scheme }) => {
        if (folder === undefined) return;
        writeFileSync(`${folder}/${name}-${width}-${scheme}.png`, await page.draw());
      });
      if (file === SITE + CALCULATOR && !(await page.html()).includes(CALCULATED)) {
        found.push('no calculator');
      }
      for (const problem of found) console.error(`${name}: ${problem}`);
      count += found.length;
      await page.close();
    }
  } finally {
    await browser.close();
  }
  return count;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({ options: { pictures: { type: 'string' } } });
  process.exitCode = (await checkSite(values.pictures)) ? 0 : 1;
}
