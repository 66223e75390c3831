// SPDX-License-Identifier: MIT
/** A simulated connection on a `LoopbackNetwork`: two streams of bytes. */

import { Duplex } from 'node:stream';

/** Most bytes sent by one end and not read by the other: as much as a Linux socket holds. */
const WINDOW_BYTES = 64 * 1024;

/** The part of the network that a connection uses. */
export interface StreamNetwork {
  /** Calls `happen` after the latency, not before `earliestMs`; returns the time of the call. */
  later(earliestMs: number, happen: () => void): number;
  /** Where to cut bytes that were written together: 0 … length; at 0 and length, no cut. */
  cutAt(length: number): number;
  isParted(a: string, b: string): boolean;
  /** Removes a closed stream. */
  forget(stream: LoopbackStream): void;
}

/** An item in transit: bytes, the end of the stream, a reset, or the opening of the connection. */
type Item = Uint8Array | 'end' | 'reset' | (() => void);

/** What is written is sent. */
const OPEN = 'open';
/** The end was sent. */
const ENDED = 'ended';
/** The connection is broken: nothing more arrives. */
const CUT = 'cut';
type SendState = typeof OPEN | typeof ENDED | typeof CUT;

type Done = (error?: Error | null) => void;

/**
 * One end of a connection within this process.
 *
 * All bytes written here arrive at the other end later, in order, but cut into other chunks. While
 * the network between the two hosts is partitioned everything waits: TCP would send it again. A
 * stream that was destroyed has sent its end, and replies with a reset to bytes that still arrive,
 * as an operating system does for a process that has exited.
 */
export class LoopbackStream extends Duplex {
  readonly host: string;
  readonly peerHost: string;
  readonly #network: StreamNetwork;
  #peer: LoopbackStream = this;

  /** In transit to the peer. */
  readonly #items: Item[] = [];
  #lastMs = 0;
  /** Items that would have arrived if the hosts were not parted. */
  #heldCount = 0;
  /** Bytes that the peer has not read. */
  #unreadBytes = 0;
  /** A write that waits for room. */
  #parked: { readonly bytes: Uint8Array; readonly done: Done } | undefined;
  #state: SendState = OPEN;

  /** Arrived and not read yet. */
  readonly #arrived: Uint8Array[] = [];
  #wantsMore = false;
  #endIsDue = false;

  private constructor(network: StreamNetwork, host: string, peerHost: string) {
    super();
    this.#network = network;
    this.host = host;
    this.peerHost = peerHost;
    // A link adds its own listener; before there is one, errors are ignored.
    this.on('error', () => {});
  }

  /** Returns both ends of a connection; calls `onOpen` when its opening arrives at the second. */
  static connect(
    network: StreamNetwork,
    host: string,
    peerHost: string,
    onOpen: (accepted: LoopbackStream) => void,
  ): readonly [LoopbackStream, LoopbackStream] {
    const near = new LoopbackStream(network, host, peerHost);
    const far = new LoopbackStream(network, peerHost, host);
    near.#peer = far;
    far.#peer = near;
    near.#send(() => onOpen(far));
    return [near, far];
  }

  /** Sends the held items, once the hosts are no longer parted. */
  release(): void {
    for (; this.#heldCount > 0; this.#heldCount--) this.#schedule();
  }

  /** Makes both ends fail; items in transit are lost. */
  reset(): void {
    for (const end of [this, this.#peer]) {
      end.#state = CUT;
      end.#fail();
    }
  }

  /** Closes this end; the peer fails, once the reset arrives. */
  resetAndDestroy(): void {
    this.#send('reset');
    this.#state = ENDED;
    this.destroy();
  }

  override _read(): void {
    this.#wantsMore = true;
    this.#feed();
  }

  override _write(chunk: Uint8Array, _encoding: unknown, done: Done): void {
    if (this.#unreadBytes >= WINDOW_BYTES) this.#parked = { bytes: chunk, done };
    else this.#accept(chunk, done);
  }

  override _writev(chunks: { readonly chunk: Uint8Array }[], done: Done): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), undefined, done);
  }

  override _final(done: Done): void {
    this.#sendEnd();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    // As an operating system does: unread bytes cause a reset.
    if (this.#arrived.length > 0 || this.readableLength > 0) this.#send('reset');
    else this.#sendEnd();
    this.#arrived.length = 0;
    const parked = this.#parked;
    this.#parked = undefined;
    parked?.done(new Error('the stream was destroyed'));
    this.#network.forget(this);
    done(error);
  }

  #accept(bytes: Uint8Array, done: Done): void {
    this.#unreadBytes += bytes.length;
    const cut = this.#network.cutAt(bytes.length);
    if (cut > 0) this.#send(bytes.subarray(0, cut));
    if (cut < bytes.length) this.#send(bytes.subarray(cut));
    done();
  }

  #sendEnd(): void {
    if (this.#state !== OPEN) return;
    this.#state = ENDED;
    this.#send('end');
  }

  #send(item: Item): void {
    this.#items.push(item);
    this.#schedule();
  }

  #schedule(): void {
    this.#lastMs = this.#network.later(this.#lastMs, () => this.#pass());
  }

  /** Delivers the first item, unless the hosts are parted. */
  #pass(): void {
    if (this.#state === CUT) return;
    if (this.#network.isParted(this.host, this.peerHost)) {
      this.#heldCount++;
      return;
    }
    const item = this.#items.shift();
    if (item !== undefined) this.#peer.#take(item);
  }

  /** Receives an item. */
  #take(item: Item): void {
    if (typeof item === 'function') item();
    else if (item === 'reset') this.#fail();
    else if (this.destroyed) {
      if (item !== 'end') this.#send('reset');
    } else if (item === 'end') {
      this.#endIsDue = true;
      this.#feed();
    } else {
      this.#arrived.push(item);
      this.#feed();
    }
  }

  #fail(): void {
    if (this.destroyed) return;
    this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  }

  /** Passes arrived bytes to the reader, while it wants more. */
  #feed(): void {
    while (this.#wantsMore && this.#arrived.length > 0) {
      const bytes = this.#arrived.shift() as Uint8Array;
      this.#peer.#wasRead(bytes.length);
      this.#wantsMore = this.push(bytes);
    }
    if (!this.#endIsDue || this.#arrived.length > 0) return;
    this.#endIsDue = false;
    this.push(null);
  }

  /** Called when the peer has read: makes room for a waiting write. */
  #wasRead(bytes: number): void {
    this.#unreadBytes -= bytes;
    const parked = this.#parked;
    if (parked === undefined || this.#unreadBytes >= WINDOW_BYTES) return;
    this.#parked = undefined;
    this.#accept(parked.bytes, parked.done);
  }
}
