// SPDX-License-Identifier: MIT
/** Metrics for Prometheus: as text, or through prom-client. */

import { show } from '../base/check.ts';
import { prometheusName, underscored } from './metric-table.ts';
import { checkMonitor, type Monitor } from './monitor.ts';
import { attributesOf, type Sample, samplesOf } from './snapshot.ts';

/** What prom-client's module offers, as far as {@link collectFor} uses it. */
export interface PromClient {
  readonly Counter: new (
    options: PromOptions,
  ) => PromMetric & {
    inc(labels: Labels, value: number): void;
  };
  readonly Gauge: new (
    options: PromOptions,
  ) => PromMetric & {
    set(labels: Labels, value: number): void;
  };
}

type Labels = Record<string, string>;

interface PromMetric {
  reset(): void;
}

interface PromOptions {
  name: string;
  help: string;
  labelNames: string[];
  // biome-ignore lint/suspicious/noExplicitAny: a Registry of prom-client, whatever its type
  registers?: any[];
  collect(): void;
}

/** The samples of one snapshot by the name that they have for Prometheus. */
function byName(monitor: Monitor): Map<string, Sample[]> {
  const found = new Map<string, Sample[]>();
  for (const sample of samplesOf(monitor.snapshot())) {
    const name = prometheusName(sample.metric);
    const samples = found.get(name);
    if (samples === undefined) found.set(name, [sample]);
    else samples.push(sample);
  }
  return found;
}

/** All metrics in the text format of Prometheus, version 0.0.4. */
export function prometheusText(monitor: Monitor): string {
  checkMonitor(monitor);
  let text = '';
  for (const [name, samples] of byName(monitor)) {
    const { help, type } = (samples[0] as Sample).metric;
    text += `# HELP ${name} ${escaped(help)}\n`;
    text += `# TYPE ${name} ${type === 'counter' ? 'counter' : 'gauge'}\n`;
    for (const { attributes, value } of samples) {
      const labels = Object.entries(attributes).map(
        ([key, label]) => `${underscored(key)}="${escaped(label).replaceAll('"', '\\"')}"`,
      );
      text += `${name}{${labels}} ${value}\n`;
    }
  }
  return text;
}

/** Other characters stand for themselves: Prometheus knows no other escapes. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/**
 * Makes prom-client's metrics of a monitor, in `registry`, or else in its global one. A scrape
 * takes one snapshot. Kinds that are added by `watchOwn` later are not among them.
 *
 * @example
 * ```ts no-run
 * import { collectFor, Monitor } from 'busbar/metrics';
 * import * as client from 'prom-client';
 *
 * collectFor(client, new Monitor());
 * console.log(await client.register.metrics());
 * ```
 */
export function collectFor(client: PromClient, monitor: Monitor, registry?: object): void {
  if (typeof client?.Gauge !== 'function' || typeof client.Counter !== 'function') {
    throw new TypeError(`client must be the module prom-client, got ${show(client)}`);
  }
  checkMonitor(monitor);
  let present: Map<string, Sample[]> | undefined;
  const samples = (name: string): Sample[] => {
    if (present === undefined) {
      present = byName(monitor);
      // A scrape asks all metrics in one turn.
      queueMicrotask(() => {
        present = undefined;
      });
    }
    return present.get(name) ?? [];
  };
  for (const [kind, metrics] of monitor.kinds()) {
    for (const metric of new Map(metrics.map((each) => [each.name, each])).values()) {
      const name = prometheusName(metric);
      const isCounter = metric.type === 'counter';
      const options: PromOptions = {
        name,
        help: metric.help || name,
        labelNames: attributesOf(kind, metrics, metric.name).map(underscored),
        ...(registry === undefined ? {} : { registers: [registry] }),
        collect: () => {
          made.reset();
          for (const { attributes, value } of samples(name)) {
            const labels = Object.fromEntries(
              Object.entries(attributes).map(([key, label]) => [underscored(key), label]),
            );
            if (isCounter) (made as InstanceType<PromClient['Counter']>).inc(labels, value);
            else (made as InstanceType<PromClient['Gauge']>).set(labels, value);
          }
        },
      };
      const made = isCounter ? new client.Counter(options) : new client.Gauge(options);
    }
  }
}
