// SPDX-License-Identifier: MIT
/** A real Prometheus scrapes the broker and statsd, and evaluates what the dashboard asks. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { afterAll, describe, expect, test } from 'vitest';
import { FIGURES as BROKER } from '../../broker/figures.ts';
import { FIGURES as STATSD } from '../../examples/statsd/figures.ts';
import { METRICS, prometheusName, underscored } from '../../src/metrics/metric-table.ts';
import { attributesOf } from '../../src/metrics/snapshot.ts';
import { RawClient } from '../e2e/raw-client.ts';
import { buildPrograms, killPrograms, Program } from '../program.ts';

afterAll(killPrograms);

/** Where it is required, a test that needs it fails without it. */
const isExpected =
  spawnSync('prometheus', ['--version']).status === 0 ||
  process.env.BUSBAR_TEST_PROMETHEUS === 'required';

interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly targets?: readonly Target[];
}

const dashboard = JSON.parse(readFileSync('docs/grafana/busbar.json', 'utf8'));
const panels: readonly Panel[] = dashboard.panels;
const targets = panels.flatMap((panel) => panel.targets ?? []);
const METRIC = /\b(busbar_\w+)\{/;

const kinds = [
  ...Object.entries(METRICS),
  ['broker', BROKER] as const,
  ['statsd', STATSD] as const,
];

test('the dashboard asks for all metrics, and for none that does not exist', () => {
  const names = new Set(kinds.flatMap(([, metrics]) => metrics.map(prometheusName)));
  const asked = new Set(targets.map(({ expr }) => METRIC.exec(expr)?.[1]));
  expect([...asked].toSorted()).toEqual([...names].toSorted());
});

test('a counter is shown as a rate, and nothing else is', () => {
  for (const { expr } of targets) expect(/\brate\(/.test(expr), expr).toBe(/_total\{/.test(expr));
});

test('the panels have ids of their own, and lie side by side', () => {
  expect(dashboard.schemaVersion).toBe(39);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = new Map<string, string>();
  for (const { title, type, gridPos, targets: asked } of panels) {
    const { x, y, w, h } = gridPos;
    expect(x + w, title).toBeLessThanOrEqual(24);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        expect(taken.get(`${column}, ${line}`), title).toBe(undefined);
        taken.set(`${column}, ${line}`, title);
      }
    }
    // A row is a headline; panels of a row that is open are in the dashboard's own list.
    if (type === 'row') expect(asked, title).toBe(undefined);
    else expect(new Set(asked?.map(({ refId }) => refId)).size, title).toBe(asked?.length);
  }
  const last = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  expect(taken.size).toBe(24 * last); // without gaps
});

test('the dashboard asks for labels that its metrics have', () => {
  const labels = new Map(
    kinds.flatMap(([kind, metrics]) =>
      metrics.map((metric) => {
        const names = attributesOf(kind, metrics, metric.name).map(underscored);
        return [prometheusName(metric), ['instance', ...names]] as const;
      }),
    ),
  );
  for (const { expr, legendFormat } of targets) {
    const metric = METRIC.exec(expr)?.[1] as string;
    const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, all]) => all?.split(/, */));
    const filtered = [...expr.matchAll(/[{,](\w+)=/g)].map(([, name]) => name);
    const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name);
    const asked = [...grouped, ...filtered, ...shown];
    expect(asked.filter((name) => !labels.get(metric)?.includes(name as string))).toEqual([]);
    // What a sum leaves out, the legend cannot show.
    if (/^sum\b/.test(expr)) expect(shown.filter((name) => !grouped.includes(name))).toEqual([]);
  }
});

describe.skipIf(!isExpected)('with Prometheus', () => {
  test('it scrapes three programs, and has a result for each query of the dashboard', async () => {
    buildPrograms();
    const folder = mkdtempSync(`${tmpdir()}/busbar-prometheus-`);
    try {
      const places = { XDG_RUNTIME_DIR: folder };
      const metrics = ['--metrics', '0', '--metrics-token', 'secret'];
      const common = ['--port', '0', '--executors', '2', ...metrics];
      const broker = new Program('build/broker/main.js', ['--seconds', '0', ...common], places);
      const statsd = new Program('build/examples/statsd/main.js', common, places);
      // It has what the others lack.
      const whole = new Program('build/test/metrics/whole.main.js', [], places);
      const found = /^Live figures, and \/metrics: (http:\S+)$/;
      const programs = [
        await broker.line(found),
        await statsd.line(found),
        await whole.line(/^at (http:\S+)$/),
      ].map(([, url]) => new URL(url as string));
      const [, port] = await broker.line(/^Listening on 127\.0\.0\.1:(\d+)/);
      const client = await RawClient.connect(Number(port));
      await client.converse('SUB a 1\r\nPUB a 1\r\nx\r\n');
      for (const program of programs) {
        const authorization = `Bearer ${program.searchParams.get('token')}`;
        const reply = await fetch(new URL('/metrics', program), { headers: { authorization } });
        const input = await reply.text();
        const { status, stderr } = spawnSync('promtool', ['check', 'metrics'], { input });
        expect([status, String(stderr)]).toEqual([0, '']);
      }

      const listen = `127.0.0.1:${await freePort()}`;
      writeFileSync(`${folder}/prometheus.yml`, configuration(programs));
      const prometheus = new Program('prometheus', [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/data`,
        `--web.listen-address=${listen}`,
      ]);
      await prometheus.line(/Server is ready to receive web requests/);
      const query = async (expr: string): Promise<{ value: [number, string] }[]> => {
        const url = `http://${listen}/api/v1/query?query=${encodeURIComponent(expr)}`;
        const reply = (await (await fetch(url)).json()) as {
          status: string;
          data: { result: { value: [number, string] }[] };
        };
        expect(reply.status, expr).toBe('success');
        return reply.data.result;
      };
      const sampleOf = async (expr: string): Promise<string | undefined> =>
        (await query(expr))[0]?.value[1];
      await expect.poll(() => sampleOf('sum(up)')).toBe('3');
      await expect.poll(() => sampleOf('sum(busbar_broker_messages_in_total)')).toBe('1');
      expect(await sampleOf('busbar_broker_clients > 0')).toBe('1');
      expect(await sampleOf('count(busbar_executor_state)')).toBe('4');
      for (const [metric, label, name] of [
        ['busbar_server_links', 'busbar_server_name', 'broker-[01]/clients'],
        ['busbar_flusher_writers', 'busbar_flusher_name', 'broker-[01]/writers'],
        ['busbar_link_dropped_total', 'busbar_link_name', 'statsd-[01]/udp'],
      ]) {
        const asked = `count(${metric}{${label}=~"${name}"})`;
        await expect.poll(() => sampleOf(asked), { message: asked }).toBe('2');
      }
      expect(await sampleOf('sum(busbar_server_links{busbar_server_name=~"broker.*"})')).toBe('1');
      expect(await sampleOf('sum(busbar_pool_buffer_limit{job=~"busbar.*"}) > 100')).toBeDefined();
      for (const { expr } of targets) {
        const asked = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m');
        // A rate needs two scrapes.
        await expect.poll(() => query(asked), { message: asked }).not.toEqual([]);
      }
      // What the dashboard's list of programs is made of.
      const { query: list, allValue } = dashboard.templating.list[1];
      const selector = /^label_values\((\{.*\}), instance\)$/.exec(list)?.[1];
      expect(await sampleOf(`count(count by (instance) (${selector}))`)).toBe('3');
      expect(await sampleOf(`count(up{instance=~"${allValue}"})`)).toBe('3');
      // For the client that is connected.
      await client.converse('');
      expect(await broker.stop()).toBe(0);
      expect(await statsd.stop()).toBe(0);
      await whole.stop('SIGKILL');
      await prometheus.stop();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function configuration(programs: readonly URL[]): string {
  const jobs = programs.map(
    ({ host, searchParams }) => `
  - job_name: 'busbar at ${host}'
    authorization: { credentials: '${searchParams.get('token')}' }
    static_configs: [{ targets: ['${host}'] }]`,
  );
  return `
global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:${jobs.join('')}
`;
}

/** Prometheus does not tell which one it took. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
