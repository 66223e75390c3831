// SPDX-License-Identifier: MIT
/** `busbar/metrics`: what a program does, for Prometheus, OpenTelemetry and probes. */
/// <reference types="node" preserve="true" />

export { Exporter, type ExporterOptions } from './exporter.ts';
export type { Metric, MetricType } from './metric-table.ts';
export {
  Monitor,
  type MonitorOptions,
  type OwnMetrics,
  type SnapshotOptions,
  type Watched,
} from './monitor.ts';
export { type OtelMeter, observeWith } from './opentelemetry.ts';
export { collectFor, type PromClient, prometheusText } from './prometheus.ts';
export {
  type Health,
  type HolderSnapshot,
  type ObjectSnapshot,
  type Sample,
  type Snapshot,
  samplesOf,
} from './snapshot.ts';
