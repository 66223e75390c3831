// SPDX-License-Identifier: MIT
/** `DatagramBacklog`: a bounded queue of received datagrams, for sockets outside of the kernel. */

import { assert } from '../../base/assert.ts';
import { copyForeign } from '../../base/bytes.ts';
import {
  IN_ADDRESS,
  IN_CAPACITY,
  IN_FLAGS,
  IN_LENGTH,
  IN_OFFSET,
  IN_SEGMENT,
  IN_TRUNCATED,
  IN_WORDS,
} from '../../native/udp.ts';
import type { PoolBytes } from '../../pool/pool-layout.ts';
import { AGAIN, type UdpSocketOwner } from './udp-socket.ts';

/** Default limit of waiting bytes: as many as in a socket of Linux. */
export const BACKLOG_BYTES_DEFAULT = 212_992;
/** Counted for each waiting datagram besides its bytes. */
export const DATAGRAM_COST_BYTES = 256;
/** Datagrams already received that may stay in the array before it is shortened. */
const TAKEN_COUNT_MAX = 256;

/** Datagrams wait; the owner is not called. */
const WAITING = 'waiting';
/** The owner is called while datagrams wait. */
const CALLING = 'calling';
/** New datagrams are dropped. */
const CLOSED = 'closed';
type BacklogState = typeof WAITING | typeof CALLING | typeof CLOSED;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly source: Int32Array;
}

const TAKEN: Waiting = { bytes: new Uint8Array(0), source: new Int32Array(0) };

/**
 * Does what the kernel does for its sockets: keeps datagrams until they are received, drops them
 * when there is no room, and calls the owner while datagrams wait and the owner wants them.
 */
export class DatagramBacklog {
  private readonly bytes: PoolBytes;
  private readonly owner: UdpSocketOwner;
  private readonly bytesMax: number;
  private waiting: Waiting[] = [];
  private waitingFrom = 0;
  private waitingBytes = 0;
  private droppedCount = 0;
  private state: BacklogState = WAITING;
  private isDue = false;

  constructor(bytes: PoolBytes, owner: UdpSocketOwner, bytesMax: number) {
    this.bytes = bytes;
    this.owner = owner;
    this.bytesMax = bytesMax;
  }

  /** Datagrams dropped for lack of room. */
  get dropped(): number {
    return this.droppedCount;
  }

  /** Adds a datagram and its source in eight words, without copying either. */
  push(bytes: Uint8Array, source: Int32Array): void {
    if (this.state === CLOSED) return;
    const cost = bytes.length + DATAGRAM_COST_BYTES;
    if (this.waitingBytes + cost > this.bytesMax) {
      this.droppedCount++;
      return;
    }
    this.waitingBytes += cost;
    this.waiting.push({ bytes, source });
    if (this.state === CALLING && !this.isDue) this.call();
  }

  /** As `UdpSocket.receive`. */
  receive(table: Int32Array, count: number): number {
    const { waiting, bytes } = this;
    let filled = 0;
    while (filled < count && this.waitingFrom < waiting.length) {
      const { bytes: datagram, source } = waiting[this.waitingFrom];
      waiting[this.waitingFrom++] = TAKEN;
      const row = filled++ * IN_WORDS;
      const length = Math.min(datagram.length, table[row + IN_CAPACITY]);
      copyForeign(bytes, table[row + IN_OFFSET], datagram, 0, length);
      this.waitingBytes -= datagram.length + DATAGRAM_COST_BYTES;
      table[row + IN_LENGTH] = length;
      table[row + IN_SEGMENT] = 0;
      table[row + IN_FLAGS] = length < datagram.length ? IN_TRUNCATED : 0;
      table.set(source, row + IN_ADDRESS);
    }
    // Beyond the limit, too: an owner that always lags a little never empties the array.
    if (this.waitingFrom === waiting.length || this.waitingFrom >= TAKEN_COUNT_MAX) {
      waiting.splice(0, this.waitingFrom);
      this.waitingFrom = 0;
    }
    assert(this.waitingBytes >= 0, 'a datagram is taken once');
    return filled === 0 ? -AGAIN : filled;
  }

  /** Sets whether to call the owner while datagrams wait. */
  watch(readable: boolean): void {
    if (this.state === CLOSED) return;
    this.state = readable ? CALLING : WAITING;
    if (readable && this.waiting.length > 0) this.callSoon();
  }

  close(): void {
    this.state = CLOSED;
    this.waiting = [];
    this.waitingFrom = 0;
  }

  private call(): void {
    assert(this.state === CALLING, 'the owner is called only while it wants datagrams');
    assert(!this.isDue, 'a call is due, or takes place');
    this.owner.readable();
    this.callAgain();
  }

  /** Calls again if datagrams are left: the owner may not have received all of them. */
  private callAgain(): void {
    if (this.state === CALLING && this.waiting.length > 0) this.callSoon();
  }

  private callSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    setImmediate(() => {
      this.isDue = false;
      if (this.state === CALLING) this.call();
    });
  }
}
