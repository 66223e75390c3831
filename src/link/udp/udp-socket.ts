// SPDX-License-Identifier: MIT
/** `UdpSocket`: the interface of a UDP link's socket, which works on tables of datagrams. */

import { constants } from 'node:os';
import { assert, fail } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import { errnoName } from '../../native/shim.ts';

/** Receives a socket's events. */
export interface UdpSocketOwner {
  /** Datagrams may have arrived. Called repeatedly until they are received. */
  readable(): void;
  /** There is room again. */
  writable(): void;
  /** An earlier datagram was lost: refused at its destination, or on the way. */
  failed(errno: number): void;
  /** A datagram of this many bytes, already accepted, could not be sent. */
  sendFailed(errno: number, bytes: number): void;
}

/** Placeholder until the link exists: nothing was sent, and datagrams wait in the socket. */
const NO_LINK: UdpSocketOwner = {
  readable() {},
  writable() {},
  failed() {},
  sendFailed: () => fail('nothing is sent before the link is made'),
};

/** Forwards a socket's events to the link, which is made after its socket. */
export class LateOwner implements UdpSocketOwner {
  #owner: UdpSocketOwner = NO_LINK;

  /** Called once. */
  become(owner: UdpSocketOwner): void {
    assert(this.#owner === NO_LINK, 'a socket has one link');
    this.#owner = owner;
  }

  readable(): void {
    this.#owner.readable();
  }

  writable(): void {
    this.#owner.writable();
  }

  failed(errno: number): void {
    this.#owner.failed(errno);
  }

  sendFailed(errno: number, bytes: number): void {
    this.#owner.sendFailed(errno, bytes);
  }
}

/** The shim's socket, Node's, or one of a `LoopbackNetwork`. */
export type UdpImplementation = 'native' | 'dgram' | 'loopback';

/**
 * A UDP socket that works in batches, on tables of numbers (native/udp.ts defines their words): the
 * shim's, or an emulation on `node:dgram` or within the process.
 */
export interface UdpSocket {
  readonly implementation: UdpImplementation;
  /** The address it is bound to, in eight words. */
  readonly local: Int32Array;
  /** Most datagrams that the kernel segments from one message; 0: none. */
  readonly segmentsMax: number;
  /** Whether an error concerns the datagram being sent; otherwise perhaps an earlier one. */
  readonly refusesAtOnce: boolean;
  /** Datagrams accepted and not sent yet; always 0 if accepted ones are sent at once. */
  readonly pendingCount: number;
  /** Fills rows of the table, from the first on; returns their number, or `-errno`. */
  receive(table: Int32Array, count: number): number;
  /**
   * Sends rows of the table, from the first on, up to `segments` equal datagrams as one message;
   * returns the number of rows sent. `sent` tells the error that stopped it.
   */
  send(
    table: Int32Array,
    count: number,
    addresses: Int32Array,
    segments: number,
    sent: Int32Array,
  ): number;
  /** Chooses for which events to call the owner. */
  watch(readable: boolean, writable: boolean): void;
  keepAlive(wanted: boolean): void;
  /** Joins or leaves a multicast group. **Throws** ERR_BUSBAR_NATIVE_FAILED. */
  membership(group: Int32Array, networkInterface: Int32Array, join: boolean): void;
  /** Sends multicast through this interface. **Throws** ERR_BUSBAR_NATIVE_FAILED. */
  multicastInterface(networkInterface: Int32Array): void;
  /** Sets one of OPTION_…. **Throws** ERR_BUSBAR_NATIVE_FAILED. */
  setOption(option: number, value: number): void;
  /** Datagrams dropped on arrival for lack of room, as far as is known. */
  drops(): number;
  /** The sizes of the system's buffers, or 0. */
  bufferBytes(): { readonly receive: number; readonly send: number };
  close(): void;
}

const { errno } = constants;

/** Not now. */
export const AGAIN: number = errno.EAGAIN;
export const INVALID: number = errno.EINVAL;

/** Errors of segmentation: the datagrams of the message may still be sent one by one. */
const SEGMENTING: readonly number[] = [errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.ENOPROTOOPT];

/** Errors that may concern an earlier datagram: then this one can be sent again. */
const EARLIER: readonly number[] = [
  errno.ECONNREFUSED,
  errno.ECONNRESET,
  errno.EHOSTUNREACH,
  errno.ENETUNREACH,
  errno.ENETDOWN,
];

/** Errors that say that no socket receives there; the last one is of Unix sockets. */
const REFUSALS: readonly number[] = [errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN];

export function isRefusal(code: number): boolean {
  return REFUSALS.includes(code);
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

/** The error that a program gets. */
export function datagramError(code: number, count: number): BusbarError {
  const detail = count > 1 ? `${errnoName(code)}, ${count} times` : errnoName(code);
  if (code === errno.EMSGSIZE) return new BusbarError('ERR_BUSBAR_DATAGRAM_TOO_LARGE', detail);
  return new BusbarError(
    isRefusal(code) ? 'ERR_BUSBAR_DATAGRAM_REFUSED' : 'ERR_BUSBAR_DATAGRAM_FAILED',
    detail,
  );
}
