// SPDX-License-Identifier: MIT
/** `busbar top` and `busbar dump`, as they are built: in a terminal, without one, over a port. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Browser, type Page } from '../../scripts/browser.mjs';
import { ROOT } from '../../scripts/files.mjs';
import { problemsOf } from '../../scripts/page-problems.mjs';
import { buildPrograms, killPrograms, Program } from '../program.ts';

const BUSBAR = `${ROOT}dist/metrics/busbar.js`;

/** Where it is required, a test that needs it fails without it. */
const isExpected =
  spawnSync('tmux', ['-V']).status === 0 || process.env.BUSBAR_TEST_TMUX === 'required';

let folder = '';
let shown: Program;
let url = '';

beforeAll(async () => {
  buildPrograms();
  folder = mkdtempSync(`${tmpdir()}/busbar-top-`);
  shown = new Program('build/test/metrics/shown.main.js', [], { XDG_RUNTIME_DIR: folder });
  url = (await shown.line(/^at (http:.*)/))[1] as string;
});
afterAll(() => {
  killPrograms();
  rmSync(folder, { recursive: true, force: true });
});

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function busbar(...args: string[]): Outcome {
  const env = { ...process.env, XDG_RUNTIME_DIR: folder };
  return spawnSync(process.execPath, [BUSBAR, ...args], { encoding: 'utf8', env });
}

test('dump prints one snapshot, of all, of a process, of a port', () => {
  const { pid } = shown.process;
  for (const places of [[], [String(pid)], [url]]) {
    const { status, stdout } = busbar('dump', ...places);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ program: 'shown', pid });
  }
  expect(busbar('dump', url.replace(/token=./, 'token=z')).stderr).toContain('a token is needed');
});

test('without a terminal, top prints lines or JSON', () => {
  const { status, stdout } = busbar('top', '--count', '2', '--interval', '0.05');
  expect(status).toBe(0);
  expect(stdout).not.toContain('\x1b');
  expect(stdout.match(/^shown pid \d+ Node v[\d.]+ up \d+ s ready$/gm)).toHaveLength(2);
  expect(stdout).toMatch(/^ {2}messages +8 /m);
  expect(stdout).toMatch(/^! orders +2 +2 +- /m);
  expect(stdout).toMatch(/^! orders +2 +2 +0 /m);
  const lines = busbar('top', '--json', '--count', '2', '--interval', '0.05').stdout.trim();
  const programs = lines.split('\n').map((line) => JSON.parse(line).program);
  expect(programs).toEqual(['shown', 'shown']);
});

test('who holds the buffers is shown', () => {
  const { stdout } = busbar('top', '--count', '1');
  expect(stdout).toMatch(/^ {2}who holds buffers +references +of pool$/m);
  expect(stdout).toMatch(/^ {2}in transit, channel of orders +2 +messages$/m);
  expect(JSON.parse(busbar('dump').stdout).objects[0].holders).toEqual([
    { thread: '', kind: 'channel', name: 'orders', count: 2 },
  ]);
});

test('something else that listens is told from an exporter', async () => {
  const text = `require('http').createServer((_, reply) => reply.end('<p>hello'))
    .listen(0, '127.0.0.1', function () { console.log('at ' + this.address().port); });`;
  const other = new Program(process.execPath, ['-e', text]);
  const [, port] = await other.line(/^at (\d+)/);
  const { status, stderr } = busbar('dump', `http://127.0.0.1:${port}/`);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^http:\S+: no exporter of this version of busbar$/m);
  await other.stop('SIGKILL');
});

test('wrong words and missing processes are said', () => {
  expect(busbar('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('top') });
  for (const [wrong, text] of [
    ['topp', 'unknown command "topp" (did you mean "top"?)'],
    ['tpo', 'unknown command "tpo" (did you mean "top"?)'],
    ['serve', 'unknown command "serve"\nTry: busbar --help'],
  ] as const) {
    expect(busbar(wrong)).toMatchObject({ status: 2, stderr: expect.stringContaining(text) });
  }
  expect(busbar('top', '--interval', 'x').status).toBe(2);
  expect(busbar('dump', '/no/such.sock')).toMatchObject({ status: 1 });
});

test('what a killed process has left is removed, and not shown', async () => {
  const place = { XDG_RUNTIME_DIR: folder };
  const other = new Program('build/test/metrics/shown.main.js', [], place);
  await other.line(/^at /);
  const own = readdirSync(folder)[0];
  const path = `${folder}/${own}/${other.process.pid}.sock`;
  await other.stop('SIGKILL');
  expect(existsSync(path)).toBe(true);
  expect(busbar('dump', path).stderr).toContain(`${path}: no process listens there`);
  expect(existsSync(path)).toBe(true);
  const { stdout } = busbar('dump');
  expect(JSON.parse(stdout).pid).toBe(shown.process.pid);
  expect(existsSync(path)).toBe(false);
});

const browser = await Browser.launch();
afterAll(() => browser?.close());

describe.skipIf(browser === undefined)('in Chromium', () => {
  const open = (address: string): Promise<Page> => (browser as Browser).open(address);

  test('the page shows the same, without an error', async () => {
    const page = await open(url);
    const text = await page.html();
    expect(text).toMatch(/<h1 id="title">shown pid \d+ .* ready<\/h1>/);
    expect(text).toMatch(
      /<tr class="alarm"><td class="" title="orders">orders<\/td><td class="">2</,
    );
    expect(text).toMatch(/>in transit, channel of orders<\/td><td class="">2</);
    expect(page.messages).toEqual([]);
    const stranger = await open(url.replace(/token=./, 'token=z'));
    expect(await stranger.html()).toContain('a token is needed');
  });

  test('the page fits a screen and a phone, and is legible, light and dark', async () => {
    expect(await problemsOf(await open(url))).toEqual([]);
  });
});

describe.skipIf(!isExpected)('in tmux', () => {
  const tmux = (...args: string[]): Outcome =>
    spawnSync('tmux', ['-S', `${folder}/tmux`, '-f', '/dev/null', ...args], { encoding: 'utf8' });
  const screen = (): string => tmux('capture-pane', '-p').stdout;
  const begin = (columns: number, rows: number, place: string): void => {
    const command = `XDG_RUNTIME_DIR=${folder} ${process.execPath} ${BUSBAR} top ${place}`;
    const size = ['-x', `${columns}`, '-y', `${rows}`];
    tmux('new-session', '-d', ...size, `${command}; echo ended $?; cat`);
  };
  const expectWidth = (columns: number): void => {
    for (const line of screen().split('\n')) expect(line.length).toBeLessThanOrEqual(columns);
  };
  afterEach(() => tmux('kill-server'));

  test('top fills the terminal, marks what is full, and ends on q', async () => {
    begin(100, 40, '');
    const row = /^! orders +2 +2 +0 +0 /m;
    await expect.poll(screen).toMatch(row);
    expect(screen()).toMatch(/^shown pid \d+ .* ready$/m);
    expect(screen()).not.toContain('lines 1-');
    expect(tmux('capture-pane', '-p', '-e').stdout).toContain('\x1b[31m! orders');
    expectWidth(100);
    tmux('send-keys', 'q');
    await expect.poll(screen).toMatch(/^ended 0$/m);
    expect(screen()).not.toMatch(row);
  });

  test('of 40 pools and 200 links a narrow terminal shows a part, and scrolls', async () => {
    const many = new Program('build/test/metrics/many.main.js', [], { XDG_RUNTIME_DIR: folder });
    await many.line(/^ready$/);
    begin(60, 20, `${many.process.pid}`);
    const where = /^lines (\d+)-(\d+) of (\d+); space, b: on, back; q: end$/m;
    const lineOf = async (pattern: RegExp): Promise<RegExpExecArray> => {
      await expect.poll(screen).toMatch(pattern);
      return pattern.exec(screen()) as RegExpExecArray;
    };
    const [, , , count] = await lineOf(where);
    expect(Number(count)).toBeGreaterThan(600);
    expect(screen()).toMatch(/^many pid \d+ /);
    // The name is cut, the figures are there.
    expect(screen()).toMatch(/^ {2}pool of the region 0, with a long… +8 /m);
    expectWidth(60);
    tmux('send-keys', 'Space');
    await lineOf(/^lines 18-35 of \d+;/m);
    tmux('send-keys', 'Down', 'Down');
    await lineOf(/^lines 20-37 of \d+;/m);
    tmux('send-keys', 'PageUp');
    await lineOf(/^lines 3-20 of \d+;/m);
    tmux('send-keys', 'G');
    await lineOf(new RegExp(`^lines \\d+-${count} of ${count};`, 'm'));
    expect(screen()).toMatch(/^ {2}thread 0, packet +pool of the region 39, with a long name$/m);
    tmux('resize-window', '-x', '200', '-y', '30');
    const [, , , wider] = await lineOf(/^lines (\d+)-(\d+) of ([1-5]\d\d);/m);
    expect(Number(wider)).toBeLessThan(Number(count));
    tmux('send-keys', 'g');
    await lineOf(/^lines 1-28 of \d+;/m);
    expectWidth(200);
    tmux('send-keys', 'C-c');
    await expect.poll(screen).toMatch(/^ended 0$/m);
    await many.stop('SIGKILL');
  });
});
