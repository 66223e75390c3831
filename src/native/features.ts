// SPDX-License-Identifier: MIT
/** Which native features are available, and the reason when one is not. */
import type { Feature } from './feature.ts';
import { offered } from './shim.ts';
import { socketWritesFeature } from './socket-writes.ts';
import { topologyReason } from './topology.ts';
import { type UdpFeature, udpFeature } from './udp.ts';

/** The features that some machines lack. */
export interface NativeFeatures {
  /** `setAffinity`, `getAffinity`, `threadId`. */
  readonly affinity: Feature;
  /** `topology`: known from the kernel; otherwise it is a guess. */
  readonly topology: Feature;
  /** `setThreadName`. */
  readonly threadName: Feature;
  /** `listenReusePort`. */
  readonly reusePort: Feature;
  /** `TcpLink` writes to many sockets in one call; without it, it uses `node:net`. */
  readonly socketWrites: Feature;
  /** `UdpLink` sends and receives in batches; without it, it uses `node:dgram`. */
  readonly udp: UdpFeature;
}

/** The native features of this machine. */
export interface Native {
  /** Determined, with the shim loaded, at the first access. Never throws. */
  readonly features: NativeFeatures;
}

let features: NativeFeatures | undefined;

/** The native features of this machine, determined at the first access. */
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
