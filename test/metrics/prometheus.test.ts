// SPDX-License-Identifier: MIT
/** A real Prometheus scrapes the broker and statsd, and evaluates what the dashboard asks. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { afterAll, describe, expect, test } from 'vitest';
import { FIGURES } from '../../broker/figures.ts';
import { METRICS, prometheusName, underscored } from '../../src/metrics/metric-table.ts';
import { attributesOf } from '../../src/metrics/snapshot.ts';
import { RawClient } from '../e2e/raw-client.ts';
import { buildPrograms, killPrograms, Program } from '../program.ts';

afterAll(killPrograms);

/** Where it is required, a test that needs it fails without it. */
const isExpected =
  spawnSync('prometheus', ['--version']).status === 0 ||
  process.env.BUSBAR_TEST_PROMETHEUS === 'required';

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const dashboard = JSON.parse(readFileSync('docs/grafana/busbar.json', 'utf8'));
const panels: readonly Panel[] = dashboard.panels;

test('the dashboard asks for metrics that exist', () => {
  const names = new Set([...Object.values(METRICS).flat(), ...FIGURES].map(prometheusName));
  const asked = panels.flatMap(({ targets }) =>
    targets.flatMap(({ expr }) => [...expr.matchAll(/\b(busbar_\w+)\{/g)].map(([, name]) => name)),
  );
  expect(asked.length).toBeGreaterThan(15);
  expect(asked.filter((name) => !names.has(name as string))).toEqual([]);
});

test('the dashboard asks for labels that its metrics have', () => {
  const kinds = [...Object.entries(METRICS), ['broker', FIGURES] as const];
  const labels = new Map(
    kinds.flatMap(([kind, metrics]) =>
      metrics.map((metric) => {
        const names = attributesOf(kind, metrics, metric.name).map(underscored);
        return [prometheusName(metric), ['instance', ...names]] as const;
      }),
    ),
  );
  for (const { expr, legendFormat } of panels.flatMap(({ targets }) => targets)) {
    const metric = /\b(busbar_\w+)\{/.exec(expr)?.[1] as string;
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
      // It has a channel, which the others have not.
      const shown = new Program('build/test/metrics/shown.main.js', [], places);
      const found = /^Live figures, and \/metrics: (http:\S+)$/;
      const targets = [
        await broker.line(found),
        await statsd.line(found),
        await shown.line(/^at (http:\S+)$/),
      ].map(([, url]) => new URL(url as string));
      const [, port] = await broker.line(/^Listening on 127\.0\.0\.1:(\d+)/);
      const client = await RawClient.connect(Number(port));
      await client.converse('SUB a 1\r\nPUB a 1\r\nx\r\n');
      const headers = { authorization: 'Bearer secret' };
      const text = await (await fetch(new URL('/metrics', targets[0]), { headers })).text();
      const { status, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text });
      expect([status, String(stderr)]).toEqual([0, '']);

      const listen = `127.0.0.1:${await freePort()}`;
      writeFileSync(`${folder}/prometheus.yml`, configuration(targets));
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
      expect(await sampleOf('sum(busbar_pool_buffer_limit{job=~"busbar.*"}) > 100')).toBeDefined();
      for (const { expr } of panels.flatMap((panel) => panel.targets)) {
        const asked = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m');
        // A rate needs two scrapes.
        await expect.poll(() => query(asked), { message: asked }).not.toEqual([]);
      }
      // For the client that is connected.
      await client.converse('');
      expect(await broker.stop()).toBe(0);
      expect(await statsd.stop()).toBe(0);
      await shown.stop('SIGKILL');
      await prometheus.stop();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function configuration(targets: readonly URL[]): string {
  const jobs = targets.map(
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
