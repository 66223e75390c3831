// SPDX-License-Identifier: MIT
/** The socket's end of the way, in both directions: what a UDP link asks of its socket. */

import { constants } from 'node:os';
import { BusbarError } from '../../base/errors.ts';
import { errnoName } from '../../native/shim.ts';

/** Whom a socket calls back. */
export interface UdpSocketOwner {
  /** Something may have come. Called again and again while it has not been taken. */
  readable(): void;
  /** There is room again. */
  writable(): void;
  /** An earlier datagram came to nothing: refused where it arrived, or on the way. */
  failed(errno: number): void;
  /** A datagram of so many bytes that was taken did not go out after all. */
  sendFailed(errno: number, bytes: number): void;
}

/** What a socket calls back before there is a link: nobody. */
export class LateOwner implements UdpSocketOwner {
  owner: UdpSocketOwner | undefined;

  readable(): void {
    this.owner?.readable();
  }

  writable(): void {
    this.owner?.writable();
  }

  failed(errno: number): void {
    this.owner?.failed(errno);
  }

  sendFailed(errno: number, bytes: number): void {
    this.owner?.sendFailed(errno, bytes);
  }
}

/** The shim's socket, Node's, or one of a `LoopbackNetwork`. */
export type UdpImplementation = 'native' | 'dgram' | 'loopback';

/**
 * A UDP socket that works in batches, over tables of numbers (native/udp.ts has their words): the
 * kernel's calls, or their imitation on `node:dgram` or within the process.
 */
export interface UdpSocket {
  readonly implementation: UdpImplementation;
  /** The address it is bound to, in eight words. */
  readonly local: Int32Array;
  /** Datagrams that the kernel cuts from one message; 0: none. */
  readonly segmentsMax: number;
  /** Datagrams that were taken and are not out; 0 where taken is out. */
  readonly pendingCount: number;
  /** Fills places of the table, from the first on; returns how many, or `-errno`. */
  receive(table: Int32Array, count: number): number;
  /**
   * Sends datagrams of the table, from the first on, up to `segments` equal ones as one message;
   * returns how many, and why not more.
   */
  send(
    table: Int32Array,
    count: number,
    addresses: Int32Array,
    segments: number,
    sent: Int32Array,
  ): number;
  /** What to call back for. */
  watch(readable: boolean, writable: boolean): void;
  keepAlive(wanted: boolean): void;
  /** Joins or leaves a multicast group. **Throws** ERR_BUSBAR_NATIVE_FAILED. */
  membership(group: Int32Array, networkInterface: Int32Array, join: boolean): void;
  /** Multicast leaves through this interface. **Throws** likewise. */
  multicastInterface(networkInterface: Int32Array): void;
  /** One of OPTION_…. **Throws** likewise. */
  setOption(option: number, value: number): void;
  /** Datagrams that came and found no room, as far as is known. */
  drops(): number;
  /** The sizes of the system's buffers, or 0. */
  bufferBytes(): { readonly receive: number; readonly send: number };
  close(): void;
}

const { errno } = constants;

/** Not now. */
export const AGAIN: number = errno.EAGAIN;
export const INVALID: number = errno.EINVAL;

/** What makes the kernel refuse to cut a message, but not to send its datagrams one by one. */
const SEGMENTING: readonly number[] = [errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.ENOPROTOOPT];

/** What may be about an earlier datagram: asking again is worth while. */
const EARLIER: readonly number[] = [
  errno.ECONNREFUSED,
  errno.ECONNRESET,
  errno.EHOSTUNREACH,
  errno.ENETUNREACH,
  errno.ENETDOWN,
];

/** The other side's host says that nobody takes datagrams there. */
export function isRefusal(code: number): boolean {
  return code === errno.ECONNREFUSED || code === errno.ECONNRESET;
}

export function isNotNow(code: number): boolean {
  return code === errno.EAGAIN || code === errno.EWOULDBLOCK;
}

export function isAboutSegments(code: number): boolean {
  return SEGMENTING.includes(code);
}

export function isAboutEarlier(code: number): boolean {
  return EARLIER.includes(code);
}

/** The error that a program is told. */
export function datagramError(code: number, count: number): BusbarError {
  const detail = count > 1 ? `${errnoName(code)}, ${count} times` : errnoName(code);
  if (code === errno.EMSGSIZE) return new BusbarError('ERR_BUSBAR_DATAGRAM_TOO_LARGE', detail);
  return new BusbarError(
    isRefusal(code) ? 'ERR_BUSBAR_DATAGRAM_REFUSED' : 'ERR_BUSBAR_DATAGRAM_FAILED',
    detail,
  );
}
