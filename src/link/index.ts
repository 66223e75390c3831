// SPDX-License-Identifier: MIT
/** `busbar/link`: TCP, UDP and loopback links, which connect sockets with the pool. */
/// <reference types="node" preserve="true" />

export { type CloseGraduallyOptions, closeGradually } from './close-gradually.ts';
export type { Payload, PayloadSource } from './frame-writer.ts';
export type { CloseOptions, Link, LinkStats, ReadingStats, WritingStats } from './link.ts';
export type { LoopbackFaults, LoopbackOptions } from './loopback/loopback-faults.ts';
export {
  type LoopbackAddress,
  LoopbackNetwork,
  type LoopbackServerOptions,
  type LoopbackStats,
} from './loopback/loopback-network.ts';
export type { SharedLinkOptions } from './shared-options.ts';
export type { ConnectRetry } from './tcp/connect-retry.ts';
export { IncomingFrame } from './tcp/incoming-frame.ts';
export type { IngestMode } from './tcp/read-target.ts';
export {
  type SharedPlace,
  SharedPort,
  type SharedPortHandle,
  type SharedPortOptions,
} from './tcp/shared-port.ts';
export type { TcpAddress } from './tcp/tcp-connect.ts';
export {
  type TcpHandler,
  TcpLink,
  type TcpLinkOptions,
  type TcpLinkStats,
} from './tcp/tcp-link.ts';
export { TcpServer, type TcpServerOptions, type TcpServerStats } from './tcp/tcp-server.ts';
export { Datagram } from './udp/datagram.ts';
export { UdpAddress } from './udp/udp-address.ts';
export {
  type UdpHandler,
  UdpLink,
  type UdpLinkOptions,
  type UdpLinkStats,
} from './udp/udp-link.ts';
export type { LookupOptions } from './udp/udp-lookup.ts';
export type { UdpPeer, UnixPeer } from './udp/udp-options.ts';
