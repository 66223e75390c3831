// SPDX-License-Identifier: MIT
/** UDP sockets of the shim, which send and receive in batches. */
import type { Feature } from './feature.ts';
import { loadShim, notHere } from './shim.ts';

// The tables of native/bus_udp.h; test/native/headers.test.ts compares the numbers.

/** Words of an address: family (4, 6, 0 for none), port, four words of it, interface. */
export const ADDRESS_FAMILY = 0;
export const ADDRESS_PORT = 1;
export const ADDRESS_HOST = 2;
export const ADDRESS_SCOPE = 6;
export const ADDRESS_WORDS = 8;

/** Words of a datagram to send. */
export const OUT_OFFSET = 0;
export const OUT_LENGTH = 1;
/** A row of the table of addresses, or −1 for the connected address. */
export const OUT_ADDRESS = 2;
/** Not 0: the bytes are datagrams of this length, the last one may be shorter. */
export const OUT_SEGMENT = 3;
export const OUT_WORDS = 4;

/** Words of the result of a send. */
export const SENT_ERROR = 0;
export const SENT_RUN = 1;
export const SENT_CALLS = 2;
export const SENT_CLEARED = 3;
export const SENT_WORDS = 4;

/** Words of a place to receive into, and of the datagram that came there. */
export const IN_OFFSET = 0;
export const IN_CAPACITY = 1;
export const IN_LENGTH = 2;
export const IN_SEGMENT = 3;
export const IN_FLAGS = 4;
export const IN_ADDRESS = 8;
export const IN_WORDS = 16;

/** In the flags of a datagram: it was longer than its place. ECN stands in the two bits above. */
export const IN_TRUNCATED = 1;
export const IN_ECN_SHIFT = 1;

/** Words of the options with which a socket is opened. */
export const CONFIG_FAMILY = 0;
export const CONFIG_FLAGS = 1;
export const CONFIG_RECEIVE_BYTES = 2;
export const CONFIG_SEND_BYTES = 3;
export const CONFIG_BIND = 8;
export const CONFIG_CONNECT = 16;
export const CONFIG_WORDS = 24;

export const REUSE_ADDRESS = 1;
export const REUSE_PORT = 2;
export const ONLY_V6 = 4;
export const GRO = 8;

/** Words of the result of an open: `-errno` and step, or the local address. */
export const OPENED_ERROR = 0;
export const OPENED_STEP = 1;
export const OPENED_ADDRESS = 8;
export const OPENED_WORDS = 16;

/** The step at which an open failed. */
export const OPEN_STEPS: readonly string[] = [
  'socket',
  'setsockopt',
  'bind',
  'connect',
  'getsockname',
  'poll',
];

/** Options of an open socket. */
export const OPTION_TTL = 0;
export const OPTION_MULTICAST_TTL = 1;
export const OPTION_MULTICAST_LOOP = 2;
export const OPTION_BROADCAST = 3;
export const OPTION_TRAFFIC_CLASS = 4;

/** The events that the loop watches for. */
export const READABLE = 1;
export const WRITABLE = 2;

/** Words of the kernel's figures for a socket. */
export const STATE_DROPS = 0;
export const STATE_RECEIVE_BYTES = 1;
export const STATE_SEND_BYTES = 2;
export const STATE_WORDS = 3;

/** A socket of the shim. */
export type UdpHandle = { readonly kind: unique symbol };

/** The shim's functions for UDP: all of them or none. */
export interface UdpCalls {
  /**
   * Bits: 1 sockets, 2 segmentation on sending, 4 the reverse on receiving, 8 twice as many
   * segments; or `-errno`.
   */
  udpProbe(): number;
  /** `onReady` gets the ready events, and the errno of an earlier datagram or 0. */
  udpOpen(
    config: Int32Array,
    onReady: (events: number, errno: number) => void,
    opened: Int32Array,
  ): UdpHandle | undefined;
  /** A Unix datagram socket, bound to `path` and connected to `peer`; '' for none. */
  unixOpen(
    config: Int32Array,
    onReady: (events: number, errno: number) => void,
    opened: Int32Array,
    path: string,
    peer: string,
  ): UdpHandle | undefined;
  /**
   * Returns how many were sent, from the first on. Up to `segments` datagrams of equal length are
   * one message that the kernel cuts.
   */
  udpSend(
    handle: UdpHandle,
    bytes: Uint8Array,
    table: Int32Array,
    count: number,
    addresses: Int32Array,
    segments: number,
    sent: Int32Array,
  ): number;
  /** Returns how many places were filled, from the first on, or `-errno`. */
  udpReceive(handle: UdpHandle, bytes: Uint8Array, table: Int32Array, count: number): number;
  udpWatch(handle: UdpHandle, events: number): number;
  udpKeepAlive(handle: UdpHandle, wanted: boolean): void;
  /** A group of family 0: the interface is the one to send through. */
  udpMulticast(
    handle: UdpHandle,
    group: Int32Array,
    networkInterface: Int32Array,
    join: boolean,
  ): number;
  udpSetOption(handle: UdpHandle, family: number, option: number, value: number): number;
  udpState(handle: UdpHandle, state: Int32Array): number;
  udpClose(handle: UdpHandle): void;
}

/** UDP in batches, and the parts of it that the kernel supports. */
export interface UdpFeature extends Feature {
  /** UDP_SEGMENT: the kernel cuts a long message into datagrams. */
  readonly gso: Feature;
  /** UDP_GRO: the kernel hands over datagrams that arrive together as one message. */
  readonly gro: Feature;
}

const PROBED_GSO = 2;
const PROBED_GRO = 4;
const PROBED_MORE = 8;

/** Datagrams that the kernel cuts from one message, up to Linux 6.8 and since. */
const SEGMENTS = 64;
const SEGMENTS_MORE = 128;

let segments = 0;

let feature: UdpFeature | undefined;

/** Finds out once what the kernel supports, by opening a socket. */
export function udpFeature(): UdpFeature {
  feature ??= Object.freeze(lookUp());
  return feature;
}

/** Datagrams that the kernel cuts from one message; 0 without segmentation. */
export function udpSegments(): number {
  return udpFeature().gso.available ? segments : 0;
}

/** The shim's calls; undefined where `udpFeature()` is unavailable. */
export function udpCalls(): UdpCalls | undefined {
  return udpFeature().available ? (loadShim().shim as unknown as UdpCalls) : undefined;
}

function lookUp(): UdpFeature {
  const { shim, reason } = loadShim();
  if (shim === undefined) return none(reason);
  // It tells of datagrams; there a call of it ends the process.
  for (const engine of ['bun', 'deno']) {
    if (engine in process.versions) return none(`uv_poll does not work in ${engine}`);
  }
  const { udpProbe } = shim as Partial<UdpCalls>;
  if (udpProbe === undefined) return none(notHere());
  const found = udpProbe();
  if (found < 0) return none('the kernel makes no UDP socket');
  segments = (found & PROBED_MORE) !== 0 ? SEGMENTS_MORE : SEGMENTS;
  return {
    ...said(''),
    gso: said((found & PROBED_GSO) !== 0 ? '' : 'the kernel is older than Linux 4.18'),
    gro: said((found & PROBED_GRO) !== 0 ? '' : 'the kernel is older than Linux 5.0'),
  };
}

function none(reason: string): UdpFeature {
  return { ...said(reason), gso: said(reason), gro: said(reason) };
}

function said(reason: string): Feature {
  return Object.freeze({ available: reason === '', reason });
}
