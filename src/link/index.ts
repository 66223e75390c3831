// SPDX-License-Identifier: MIT
/** The socket's end of the way, in both directions: links between sockets and the pool. */

export type { ConnectRetry } from './connect-retry.ts';
export type { IngestMode } from './ingest.ts';
export type { CloseOptions, Link, LinkStats, ReadingStats, WritingStats } from './link.ts';
export type { LoopbackFaults, LoopbackOptions } from './loopback-faults.ts';
export {
  type LoopbackAddress,
  LoopbackNetwork,
  type LoopbackServerOptions,
  type LoopbackStats,
} from './loopback-network.ts';
export type { SharedLinkOptions } from './shared-options.ts';
export type { TcpAddress } from './tcp-connect.ts';
export { type TcpHandler, TcpLink, type TcpLinkOptions, type TcpLinkStats } from './tcp-link.ts';
export { TcpServer, type TcpServerOptions } from './tcp-server.ts';
export { UdpAddress } from './udp-address.ts';
export { type UdpHandler, UdpLink, type UdpLinkOptions, type UdpLinkStats } from './udp-link.ts';
export type { LookupOptions } from './udp-lookup.ts';
export type { UdpPeer } from './udp-options.ts';
