// SPDX-License-Identifier: MIT
/** Which native features are available, and the reason when one is not. */
import type { Feature } from './feature.ts';
import { offered } from './shim.ts';
import { socketWritesFeature } from './socket-writes.ts';
import { topologyReason } from './topology.ts';
import { type UdpFeature, udpFeature } from './udp.ts';

/** Every feature that not all machines have. */
export interface NativeFeatures {
  /** `setAffinity`, `getAffinity`, `threadId`. */
  readonly affinity: Feature;
  /** `topology`: known from the kernel; otherwise it is a guess. */
  readonly topology: Feature;
  /** `setThreadName`. */
  readonly threadName: Feature;
  /** `listenReusePort`. */
  readonly reusePort: Feature;
  /** What `TcpLink` sends by, to many sockets in one call; without it, it uses `node:net`. */
  readonly socketWrites: Feature;
  /** What `UdpLink` sends and receives in batches by; without it, it uses `node:dgram`. */
  readonly udp: UdpFeature;
}

/** What the machine under us offers. */
export interface Native {
  /** Found out, and the shim loaded, at the first look. Never throws. */
  readonly features: NativeFeatures;
}

let features: NativeFeatures | undefined;

/** What the machine under us offers, looked up when asked for. */
export const native: Native = {
  get features(): NativeFeatures {
    features ??= lookUp();
    return features;
  },
};

function lookUp(): NativeFeatures {
  const reason = topologyReason();
  return Object.freeze({
    affinity: offered('setAffinity'),
    topology: Object.freeze({ available: reason === '', reason }),
    threadName: offered('setThreadName'),
    reusePort: offered('listenReusePort'),
    socketWrites: socketWritesFeature(),
    udp: udpFeature(),
  });
}
