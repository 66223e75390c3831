// SPDX-License-Identifier: MIT
/** `busbar/native`: what only the kernel can do, feature by feature. */
/// <reference types="node" preserve="true" />

export { getAffinity, setAffinity, setThreadName, threadId } from './calling-thread.ts';
export type { Feature } from './feature.ts';
export { type Native, type NativeFeatures, native } from './features.ts';
export {
  listenReusePort,
  type ReusePortListener,
  type ReusePortOptions,
} from './reuse-port.ts';
export { type CpuInfo, type Topology, topology } from './topology.ts';
export type { UdpFeature } from './udp.ts';
