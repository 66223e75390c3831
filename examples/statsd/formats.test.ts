// SPDX-License-Identifier: MIT
/** Example statsd, tests: formats of reports, and the command line. */

import { expect, test } from 'vitest';
import { readCommandLine } from './command-line.ts';
import { format } from './formats.ts';
import type { Report } from './report.ts';

const REPORT: Report = {
  timeMs: Date.UTC(2030, 0, 2, 3, 4, 5),
  seconds: 10,
  counters: [{ name: 'api hits/v1', tags: ['env:prod', 'x'], value: 30, rate: 3 }],
  gauges: [{ name: 'load', tags: [], value: 0.123456789 }],
  timers: [
    {
      ...{ name: 'db', tags: [], count: 4, rate: 0.4, sum: 10, min: 1, max: 4, mean: 2.5 },
      deviation: 1,
      percentiles: { '50': 2, '99.9': 4 },
    },
  ],
  sets: [{ name: 'users', tags: [], count: 7 }],
  collector: {
    ...{ datagrams: 5, lines: 9, malformed: 1, ignored: 2, refused: 3, dropped: 4 },
    ...{ streams: 6, failedStreams: 7, tooLong: 8 },
  },
};

test('text has a table for each kind', () => {
  const lines = format(REPORT, 'text', 'stats').split('\n');
  expect(lines[0]).toBe('── 2030-01-02T03:04:05.000Z, 10.0 s ──');
  expect(lines).toContainEqual(expect.stringMatching(/api hits\/v1 +│ env:prod x +│ +30 +│ +3 /));
  expect(lines).toContainEqual(expect.stringMatching(/load +│ +│ +0\.123457 /));
  expect(lines).toContainEqual(expect.stringMatching(/min.*mean.*max.*p50.*p99\.9/));
  expect(lines.at(-2)).toBe(
    '9 lines in 5 datagrams and 6 streams; 1 malformed, 8 too long, 2 ignored; ' +
      '3 values refused: no room; 4 datagrams dropped: socket full; 7 streams failed',
  );
  const nothing = { ...REPORT, counters: [], gauges: [], timers: [], sets: [] };
  expect(format(nothing, 'text', '').split('\n').length).toBe(3);
});

test('json is one line, and all of it', () => {
  const text = format(REPORT, 'json', '');
  expect(text.indexOf('\n')).toBe(text.length - 1);
  expect(JSON.parse(text)).toEqual(REPORT);
});

test('graphite has a line for each number, in names that it can read', () => {
  const lines = format(REPORT, 'graphite', 'stats').split('\n');
  expect(lines).toContain('stats.counters.api_hits-v1.count;env=prod;x=true 30 1893553445');
  expect(lines).toContain('stats.gauges.load 0.123456789 1893553445');
  expect(lines).toContain('stats.timers.db.upper_99_9 4 1893553445');
  expect(lines).toContain('stats.sets.users.count 7 1893553445');
  expect(lines).toContain('stats.statsd.collector.dropped 4 1893553445');
  expect(lines.slice(0, -1).every((line) => /^\S+ \S+ \d+$/.test(line))).toBe(true);
  expect(format(REPORT, 'graphite', '')).toMatch(/^counters\./);
});

test.each([
  [['--port', '65536'], '--port must be an integer from 0 to 65535, got "65536"'],
  [['--interval', '0'], '--interval must be a number from 0.01 to 86400, got "0"'],
  [['--format', 'xml'], '--format must be text, json, graphite, got "xml"'],
  [['--percentiles', '50,x'], '--percentiles must be a number from 0 to 100, got "x"'],
  [['--receive-buffer', '1'], '--receive-buffer must be from 4096 to 1073741824 bytes'],
  [['--executors', '0'], '--executors must be an integer from 1 to 64, got "0"'],
  [['--what'], "Unknown option '--what'"],
  [['file'], 'Unexpected argument'],
])('%j: %s', (args, complaint) => {
  expect(() => readCommandLine(args)).toThrow(complaint);
});

test('the command line has defaults for everything', () => {
  expect(readCommandLine([])).toMatchObject({
    ...{ help: false, intervalMs: 10_000, format: 'text', prefix: 'stats' },
    collector: { host: '127.0.0.1', port: 8125, executors: undefined, percentiles: [50, 90, 99] },
  });
  expect(readCommandLine(['--receive-buffer', '64K']).collector.receiveBytes).toBe(65_536);
});
