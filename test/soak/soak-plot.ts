// SPDX-License-Identifier: MIT
/** Soak: draws a run, one chart for each quantity and for the latencies of each load. */

import { init } from 'echarts';
import { quantityOf, type SoakReport } from './soak-report.ts';

const COLUMNS = 2;
const CHART_WIDTH = 700;
const CHART_HEIGHT = 280;
const MARGIN = { left: 70, right: 20, top: 64, bottom: 36 };
const HEAD_HEIGHT = 50;
const MIB = 2 ** 20;
const US_PER_MS = 1000;
const MS_PER_SECOND = 1000;
const PERCENTILES = ['p50', 'p99', 'p999', 'max'] as const;
const UNITS: Readonly<Record<string, { readonly unit: string; readonly divisor: number }>> = {
  heap: { unit: 'MiB after a collection', divisor: MIB },
  external: { unit: 'MiB', divisor: MIB },
  'array buffers': { unit: 'MiB', divisor: MIB },
  rss: { unit: 'MiB', divisor: MIB },
  'loop delay': { unit: 'ms, 99th percentile', divisor: 1 },
};

interface Line {
  readonly name: string;
  readonly values: readonly (number | null)[];
}

interface Chart {
  readonly title: string;
  readonly isLogarithmic: boolean;
  readonly lines: readonly Line[];
}

/** The drawing, as SVG. */
export function drawReport(report: SoakReport): string {
  const charts = chartsOf(report);
  const width = COLUMNS * CHART_WIDTH;
  const height = HEAD_HEIGHT + Math.ceil(charts.length / COLUMNS) * CHART_HEIGHT;
  const drawing = init(null, null, { renderer: 'svg', ssr: true, width, height });
  const places = charts.map((_, i) => ({
    left: (i % COLUMNS) * CHART_WIDTH,
    top: HEAD_HEIGHT + Math.floor(i / COLUMNS) * CHART_HEIGHT,
  }));
  drawing.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: [
      { text: headOf(report), left: MARGIN.left, top: 12, textStyle: { fontSize: 14 } },
      ...charts.map(({ title }, i) => ({
        text: title,
        left: places[i].left + MARGIN.left,
        top: places[i].top,
        textStyle: { fontSize: 13 },
      })),
    ],
    legend: charts.map(({ lines }, i) => ({
      data: lines.map(({ name }) => name),
      left: places[i].left + MARGIN.left,
      top: places[i].top + 18,
      width: CHART_WIDTH - MARGIN.left - MARGIN.right,
      itemWidth: 14,
      itemHeight: 8,
      textStyle: { fontSize: 10 },
    })),
    grid: places.map(({ left, top }) => ({
      left: left + MARGIN.left,
      top: top + MARGIN.top,
      width: CHART_WIDTH - MARGIN.left - MARGIN.right,
      height: CHART_HEIGHT - MARGIN.top - MARGIN.bottom,
    })),
    xAxis: charts.map((_, gridIndex) => ({
      gridIndex,
      type: 'value',
      min: 1,
      max: report.minutes,
      minInterval: 1,
    })),
    yAxis: charts.map(({ isLogarithmic }, gridIndex) => ({
      gridIndex,
      type: isLogarithmic ? 'log' : 'value',
    })),
    series: charts.flatMap(({ lines }, i) =>
      lines.map(({ name, values }) => ({
        type: 'line',
        name,
        xAxisIndex: i,
        yAxisIndex: i,
        symbol: 'none',
        data: values.map((value, minute) => [minute + 1, value]),
      })),
    ),
  });
  try {
    return drawing.renderToSVGString();
  } finally {
    drawing.dispose();
  }
}

function headOf({ minutes, minuteMs, seed, commit, node, startedAt, isFine }: SoakReport): string {
  const length = `${minutes} minutes of ${minuteMs / MS_PER_SECOND} s`;
  const verdict = isFine ? 'fine' : 'NOT FINE';
  return `${length}, ${startedAt}, commit ${commit}, Node ${node}, seed ${seed}: ${verdict}`;
}

function chartsOf({ series, loads, minuteMs, coresTaken }: SoakReport): Chart[] {
  const names = Object.keys(series);
  const quantities = [...new Set(names.map(quantityOf))].map((quantity): Chart => {
    const { unit, divisor } = UNITS[quantity] ?? { unit: '', divisor: 1 };
    const entries = Object.entries(series).filter(([name]) => quantityOf(name) === quantity);
    return {
      title: unit === '' ? quantity : `${quantity}, ${unit}`,
      isLogarithmic: quantity === 'rss',
      lines: entries.map(([name, values]) => ({
        name: name.replace(`: ${quantity}`, ''),
        values: values.map((value) => value / divisor),
      })),
    };
  });
  const rates: Chart = {
    title: 'messages per second',
    isLogarithmic: true,
    lines: Object.entries(loads).map(([name, minutes]) => ({
      name,
      // A logarithm has no zero.
      values: minutes.map(({ messages }) => (messages * MS_PER_SECOND) / minuteMs || null),
    })),
  };
  const latencies = Object.entries(loads)
    .filter(([, minutes]) => minutes.some(({ latencyUs }) => latencyUs !== undefined))
    .map(
      ([load, minutes]): Chart => ({
        title: `${load}, latency, ms`,
        isLogarithmic: true,
        lines: PERCENTILES.map((key) => ({
          name: key,
          values: minutes.map(({ latencyUs }) =>
            latencyUs === undefined ? null : latencyUs[key] / US_PER_MS,
          ),
        })),
      }),
    );
  const others: Chart = {
    title: 'cores that other programs took',
    isLogarithmic: false,
    lines: [{ name: 'others', values: coresTaken }],
  };
  return [...quantities, others, rates, ...latencies];
}
