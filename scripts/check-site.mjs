// SPDX-License-Identifier: MIT
/**
 * Checks the site that `npm run docs` has made: each link leads to a page and a place that exist,
 * and Chromium, if it is installed, shows pages without an error.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { posix } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './files.mjs';

const SITE = `${ROOT}build/site/`;
const CALCULATOR = 'documents/Sizing_a_pool.html';
/** The calculator has computed what it shows. */
const CALCULATED = 'of 16384 bytes; the pool has 512: enough</pre>';
/** One of each kind: the README, a guide with a picture, one with a form, a class. */
const SHOWN = [
  'index.html',
  'documents/Who_owns_what,_and_finding_leaks.html',
  CALCULATOR,
  'classes/index.BufferPool.html',
];
const PAGES_MIN = 300;

/** The problems found; prints each. */
export function checkSite() {
  const paths = readdirSync(SITE, { recursive: true, encoding: 'utf8' });
  const pages = new Map(
    paths.filter((path) => path.endsWith('.html')).map((path) => [path, readPage(path)]),
  );
  const problems = [...pages].flatMap(([path, { links }]) =>
    links.flatMap((link) => problemOf(pages, path, link)),
  );
  if (pages.size < PAGES_MIN) problems.push(`there are only ${pages.size} pages`);
  problems.push(...SHOWN.flatMap(shownWithErrors));
  for (const problem of problems) console.error(problem);
  const links = [...pages.values()].reduce((sum, page) => sum + page.links.length, 0);
  console.log(`${pages.size} pages, ${links} links, ${problems.length} problems`);
  return problems.length === 0;
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

function shownWithErrors(path) {
  const { log, dom } = show(pathToFileURL(SITE + path).href);
  if (dom === undefined) return log === undefined ? [] : [`${path}: ${log}`];
  const errors = log.split('\n').filter((line) => /CONSOLE/.test(line));
  if (path === CALCULATOR && !dom.includes(CALCULATED)) errors.push(`${path}: no calculator`);
  return dom.includes('tsd-search') ? errors : [`${path}: not shown\n${log}`];
}

/**
 * What Chromium makes of a page, and what it logs. Neither if it is not installed; only a log if it
 * fails, or is required (BUSBAR_TEST_CHROMIUM) and missing.
 */
export function show(url, ...options) {
  const folder = mkdtempSync(`${tmpdir()}/busbar-chromium-`);
  const args = [
    ...['--headless=new', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr'],
    ...[`--user-data-dir=${folder}`, '--timeout=10000', '--allow-file-access-from-files'],
  ];
  try {
    const all = [...args, ...options, '--dump-dom', url];
    const run = spawnSync('chromium', all, { encoding: 'utf8', maxBuffer: 1 << 26 });
    if (run.error === undefined) {
      return { log: run.stderr, dom: run.status === 0 ? run.stdout : undefined };
    }
    return process.env.BUSBAR_TEST_CHROMIUM === 'required' ? { log: 'chromium is missing' } : {};
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = checkSite() ? 0 : 1;
}
