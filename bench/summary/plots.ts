// SPDX-License-Identifier: MIT
/** The kept runs as drawings. */

import { init } from 'echarts';
import { type CoreRun, originOf, type Runs, shortEngine } from './documents.ts';
import { type Peers, peersOf, README_ROWS_MAX, type Timed } from './tables.ts';

interface Series {
  readonly name: string;
  readonly values: readonly (number | null)[];
}

interface Plot {
  readonly title: string;
  readonly origin: string;
  readonly axis: string;
  readonly labels: readonly string[];
  readonly series: readonly Series[];
  readonly kind: 'bar' | 'line';
  readonly isLogarithmic: boolean;
  /** Whether only one series has a value for each label. */
  readonly isSingle?: boolean;
}

const WIDTH = 1000;
const BAR_HEIGHT = 14;
/** Texts are drawn wider than is reckoned with. */
const MARGIN = 110;
const HEAD_HEIGHT = 90;
const FOOT_HEIGHT = 30;
const LINE_HEIGHT = 420;
const ENGINE_CASES = /^(pool|packet|framer|writer|channel)\//;

/** The drawings of docs/plots by name, as SVG. */
export function plotsOf(runs: Runs): Map<string, string> {
  const plots = new Map<string, Plot>();
  const newest = runs.core.at(-1);
  if (newest !== undefined) {
    plots.set('readme', readmePlot(newest));
    plots.set('peers', peersPlot(newest));
    plots.set('engines', enginesPlot(runs.core));
    plots.set('latency', latencyPlot(newest));
  }
  const broker = runs.broker.at(-1);
  if (broker !== undefined) {
    const labels = [...new Set(broker.results.map(({ scenario }) => scenario))];
    const servers = [...new Set(broker.results.map(({ server }) => server))];
    const series = servers.map((name) => ({
      name,
      values: labels.map((label) => {
        const row = broker.results.find((each) => each.scenario === label && each.server === name);
        return row === undefined ? null : row.perSecond;
      }),
    }));
    const title = 'The broker beside nats-server';
    const axis = 'messages/s';
    plots.set('broker', { ...BARS, title, origin: originOf(broker), axis, labels, series });
  }
  const scaling = runs.scaling.at(-1);
  if (scaling !== undefined) {
    const counts = [...new Set(scaling.rows.map(({ executors }) => executors))];
    const names = [...new Set(scaling.rows.map((row) => `${row.traffic}, ${row.pinning}`))];
    const series = names.map((name) => ({
      name,
      values: counts.map((count) => {
        const row = scaling.rows.find(
          (each) => each.executors === count && `${each.traffic}, ${each.pinning}` === name,
        );
        return row === undefined ? null : row.messagesPerSecond;
      }),
    }));
    plots.set('scaling', {
      ...{ kind: 'line', isLogarithmic: false, title: 'Executors', axis: 'messages/s' },
      ...{ origin: originOf(scaling), labels: counts.map(String), series },
    });
  }
  return new Map([...plots].map(([name, plot]) => [name, draw(plot)]));
}

const BARS = { kind: 'bar', isLogarithmic: true } as const;

/** All ways to do each job, one after the other, whosever they are. */
function peersPlot(run: CoreRun): Plot {
  const bars = peersOf(run).flatMap(({ job, ours, others }) => [
    ...ours.map((timed) => ({ job, timed, isOurs: true })),
    ...others.map((timed) => ({ job, timed, isOurs: false })),
  ]);
  const valuesOf = (isOurs: boolean): (number | null)[] =>
    bars.map((bar) => (bar.isOurs === isOurs ? bar.timed.ns : null));
  return {
    ...BARS,
    isSingle: true,
    title: 'Jobs with busbar, and without',
    origin: originOf(run),
    axis: 'ns, the shorter the better',
    labels: bars.map(({ job, timed }) => `${job}: ${shortId(timed)}`),
    series: [
      { name: 'with busbar', values: valuesOf(true) },
      { name: 'without', values: valuesOf(false) },
    ],
  };
}

/** The fastest of each in the first jobs. */
function readmePlot(run: CoreRun): Plot {
  const peers = peersOf(run).slice(0, README_ROWS_MAX);
  const fastest = (kind: 'ours' | 'others'): number[] =>
    peers.map(({ [kind]: [first] }: Peers) => first.ns);
  return {
    ...BARS,
    title: 'busbar, and the fastest other way',
    origin: originOf(run),
    axis: 'ns, the shorter the better',
    labels: peers.map(({ job }) => job),
    series: [
      { name: 'busbar', values: fastest('ours') },
      { name: 'the fastest other', values: fastest('others') },
    ],
  };
}

function shortId({ id }: Timed): string {
  return id.replace(/^\w+\//, '');
}

function enginesPlot(runs: readonly CoreRun[]): Plot {
  const ids = new Set(runs.flatMap(({ results }) => results.map(({ id }) => id)));
  const labels = [...ids].filter((id) => ENGINE_CASES.test(id));
  return {
    ...BARS,
    title: 'The same cases on each engine',
    origin: runs.map(originOf).at(-1) ?? '',
    axis: 'A, each of its own engine',
    labels,
    series: runs.map((run) => ({
      name: shortEngine(run),
      values: labels.map((id) => run.results.find((each) => each.id === id)?.a ?? null),
    })),
  };
}

function latencyPlot(run: CoreRun): Plot {
  const rows = run.results.flatMap(({ id, latencyNs }) => (latencyNs ? [{ id, latencyNs }] : []));
  return {
    ...BARS,
    title: 'Latency of single operations',
    origin: originOf(run),
    axis: 'ns',
    labels: rows.map(({ id }) => id),
    series: (['p50', 'p99', 'p999'] as const).map((name) => ({
      name,
      values: rows.map(({ latencyNs }) => latencyNs[name]),
    })),
  };
}

/** Bars lie, so that the names of cases can be read; lines rise to the right. */
function draw({ title, origin, axis, labels, series, kind, ...plot }: Plot): string {
  const { isLogarithmic, isSingle = false } = plot;
  const bars = labels.length * (isSingle ? 2 : series.length + 1) * BAR_HEIGHT;
  const height = HEAD_HEIGHT + FOOT_HEIGHT + (kind === 'bar' ? bars : LINE_HEIGHT);
  const drawing = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  const categories = { type: 'category', data: [...labels], inverse: kind === 'bar' } as const;
  const name = { name: axis, nameLocation: 'middle', nameGap: kind === 'bar' ? 28 : 60 } as const;
  const values = { type: isLogarithmic ? 'log' : 'value', ...name } as const;
  drawing.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, subtext: origin, left: 10, subtextStyle: { fontSize: 10 } },
    legend: { top: 58, left: 10 },
    grid: {
      left: MARGIN,
      right: MARGIN,
      top: HEAD_HEIGHT,
      bottom: FOOT_HEIGHT,
      containLabel: true,
    },
    xAxis: kind === 'bar' ? values : categories,
    yAxis: kind === 'bar' ? categories : values,
    series: series.map(({ name, values: data }) => ({
      ...{ type: kind, name, data: [...data] },
      ...(isSingle ? { barGap: '-100%' } : {}),
    })),
  });
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return svg;
}
