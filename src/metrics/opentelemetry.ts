// SPDX-License-Identifier: MIT
/** Metrics for OpenTelemetry: observable instruments of a meter. */

import { show } from '../base/check.ts';
import type { MetricType } from './metric-table.ts';
import { checkMonitor, type Monitor } from './monitor.ts';
import { samplesOf } from './snapshot.ts';

/** A meter of @opentelemetry/api, as far as {@link observeWith} uses it. */
export interface OtelMeter {
  // biome-ignore-start lint/suspicious/noExplicitAny: types of a package that need not be there
  createObservableCounter(name: string, options: object): any;
  createObservableUpDownCounter(name: string, options: object): any;
  createObservableGauge(name: string, options: object): any;
  addBatchObservableCallback(callback: (result: any) => void, observables: any[]): void;
  removeBatchObservableCallback(callback: (result: any) => void, observables: any[]): void;
  // biome-ignore-end lint/suspicious/noExplicitAny: as above
}

interface Result {
  observe(instrument: object, value: number, attributes: object): void;
}

const CREATE = {
  counter: 'createObservableCounter',
  updown: 'createObservableUpDownCounter',
  gauge: 'createObservableGauge',
} as const satisfies Record<MetricType, keyof OtelMeter>;

/**
 * Makes observable instruments of a monitor's metrics. A collection takes one snapshot. Kinds that
 * are added by `watchOwn` later are not among them. Returns a function that ends it.
 */
export function observeWith(meter: OtelMeter, monitor: Monitor): () => void {
  if (typeof meter?.addBatchObservableCallback !== 'function') {
    throw new TypeError(`meter must be a Meter of OpenTelemetry, got ${show(meter)}`);
  }
  checkMonitor(monitor);
  const instruments = new Map<string, object>();
  for (const { name, type, unit, help } of monitor.kinds().flatMap(([, metrics]) => metrics)) {
    if (instruments.has(name)) continue;
    instruments.set(name, meter[CREATE[type]](name, { unit, description: help }));
  }
  const callback = (result: Result): void => {
    for (const { metric, value, attributes } of samplesOf(monitor.snapshot())) {
      const instrument = instruments.get(metric.name);
      if (instrument !== undefined) result.observe(instrument, value, attributes);
    }
  };
  const observables = [...instruments.values()];
  meter.addBatchObservableCallback(callback, observables);
  return () => meter.removeBatchObservableCallback(callback, observables);
}
