// SPDX-License-Identifier: MIT
/** A soak of seconds: shows that the long one works, and that it finds planted faults. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPrograms } from '../program.ts';
import { readCommandLine } from './soak-options.ts';
import { isBack, type SoakReport } from './soak-report.ts';

const PROGRAM = fileURLToPath(new URL('../../build/test/soak/soak.main.js', import.meta.url));
/** As few as can be judged. */
const MINUTES = 4;
const MINUTE_MS = 600;

let folder = '';

beforeAll(() => {
  buildPrograms();
  folder = mkdtempSync(join(tmpdir(), 'busbar-soak-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly code: number;
  readonly printed: string;
  readonly report: SoakReport;
  readonly svg: string;
}

async function soak(...options: readonly string[]): Promise<Outcome> {
  const json = join(folder, 'soak.json');
  const svg = join(folder, 'soak.svg');
  const length = ['--minutes', String(MINUTES), '--minute-ms', String(MINUTE_MS)];
  const args = [PROGRAM, ...length, '--json', json, '--svg', svg, ...options];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number];
  if (code > 1) throw new Error(`the soak ended with ${code}: ${printed}`);
  const report = JSON.parse(readFileSync(json, 'utf8')) as SoakReport;
  return { code, printed, report, svg: readFileSync(svg, 'utf8') };
}

test('everything under load at once: all is right, and all comes back', async () => {
  const { code, printed, report, svg } = await soak();
  expect(report.complaints, printed).toEqual([]);
  expect(report.returns.length).toBe(20);
  expect(
    report.returns.filter((each) => !isBack(each)),
    printed,
  ).toEqual([]);
  for (const load of ['broker flow', 'broker wildcard', 'official request', 'official flow']) {
    expect(report.totals[load].messages, load).toBeGreaterThan(0);
  }
  for (const load of ['tcp echo', 'tcp churn', 'udp packed', 'udp message']) {
    expect(report.totals[load].messages, load).toBeGreaterThan(0);
  }
  // In seconds code is still being compiled: whether all is flat is for the long run to say.
  const flat = Object.values(report.verdicts).filter(({ isFlat }) => isFlat).length;
  const isFlat = flat === Object.keys(report.verdicts).length;
  expect({ isFine: report.isFine, code }).toEqual({ isFine: isFlat, code: isFlat ? 0 : 1 });
  for (const quantity of ['heap', 'heap of executor 1', 'rss', 'descriptors', 'buffers in use']) {
    expect(report.series[`broker: ${quantity}`], quantity).toHaveLength(MINUTES);
  }
  expect(report.coresTaken).toHaveLength(MINUTES);
  for (const minutes of Object.values(report.loads)) expect(minutes).toHaveLength(MINUTES);
  expect(svg).toMatch(/^<svg [\s\S]*<path [\s\S]*<\/svg>\s*$/);
  for (const title of ['descriptors', 'messages per second', 'tcp echo, latency, ms']) {
    expect(svg).toContain(title);
  }
});

test('a buffer, an array and a descriptor that are kept are found', async () => {
  const planted = ['buffer', 'array', 'descriptor'].flatMap((kind) => ['--plant', kind]);
  const { code, printed, report } = await soak(...planted);
  expect(code).toBe(1);
  expect(report.isFine).toBe(false);
  for (const quantity of ['heap', 'descriptors', 'buffers in use']) {
    expect(report.verdicts[`tcp-server: ${quantity}`].isFlat, printed).toBe(false);
  }
  const lost = report.returns.filter((each) => !isBack(each));
  expect(new Set(lost.map(({ part }) => part))).toEqual(new Set(['tcp-server']));
  expect(lost.map(({ when, quantity }) => `${when}: ${quantity}`)).toEqual([
    'at rest: descriptors',
    'at rest: buffers in use',
    'closed: descriptors',
    'closed: buffers in use',
  ]);
});

test('what cannot be asked for is refused', () => {
  for (const [args, words] of [
    [['--minutes', '3'], 'too few to judge'],
    [['--minutes', '4', '--seed', 'x'], '--seed must be'],
    [['--minutes', '4', '--plant', 'tree'], '--plant must be one of buffer, array'],
    [[], '--minutes must say'],
  ] as const) {
    expect(() => readCommandLine(args), words).toThrow(words);
  }
  expect(readCommandLine(['--minutes', '4', '--seed', '7'])).toMatchObject({
    minutes: 4,
    minuteMs: 60_000,
    seed: 7,
  });
});
