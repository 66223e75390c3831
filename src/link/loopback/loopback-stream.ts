// SPDX-License-Identifier: MIT
/** The wire between links of one process: a connection, of two streams of bytes. */

import { Duplex } from 'node:stream';

/** What one end may have sent that the other has not read: as much as in a socket of Linux. */
const WINDOW_BYTES = 64 * 1024;

/** What a connection needs of the network that it is on. */
export interface StreamNetwork {
  /** Calls after the time that things take now, not before `earliestMs`; returns when that is. */
  later(earliestMs: number, happen: () => void): number;
  /** Where to cut bytes in two that were written together: 0 … length, at the ends not at all. */
  cutAt(length: number): number;
  isParted(a: string, b: string): boolean;
  /** The stream is closed. */
  forget(stream: LoopbackStream): void;
}

/** What travels: bytes, the end of them, a reset, or the word that there is a connection. */
type Item = Uint8Array | 'end' | 'reset' | (() => void);

/** What is written is sent. */
const OPEN = 'open';
/** The end is on its way. */
const ENDED = 'ended';
/** The connection is broken: nothing arrives any more. */
const CUT = 'cut';
type SendState = typeof OPEN | typeof ENDED | typeof CUT;

type Done = (error?: Error | null) => void;

/**
 * One end of a connection within this process.
 *
 * What goes in comes out at the other end: all of it, in order, later, and cut elsewhere than it
 * was written. While the two hosts are apart everything waits, as TCP repeats what is not
 * acknowledged. An end that is destroyed has sent its end, and answers what still arrives with a
 * reset, as an operating system does for a process that is gone.
 */
export class LoopbackStream extends Duplex {
  readonly host: string;
  readonly peerHost: string;
  readonly #network: StreamNetwork;
  #peer: LoopbackStream = this;

  /** On their way to the peer. */
  readonly #items: Item[] = [];
  #lastMs = 0;
  /** Items that would be there if the hosts were not apart. */
  #heldCount = 0;
  /** Bytes that the peer has not read. */
  #unreadBytes = 0;
  /** A write that waits for room. */
  #parked: { readonly bytes: Uint8Array; readonly done: Done } | undefined;
  #state: SendState = OPEN;

  /** What has come and was not read. */
  readonly #arrived: Uint8Array[] = [];
  #wantsMore = false;
  #endIsDue = false;

  private constructor(network: StreamNetwork, host: string, peerHost: string) {
    super();
    this.#network = network;
    this.host = host;
    this.peerHost = peerHost;
    // A link listens too; before there is one, nobody is to be told.
    this.on('error', () => {});
  }

  /** The two ends of a connection; `onOpen` is called when the word of it arrives at the second. */
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

  /** The hosts are not apart any more: what was held is on its way again. */
  release(): void {
    for (; this.#heldCount > 0; this.#heldCount--) this.#schedule();
  }

  /** Both ends fail, and what is under way is lost. */
  reset(): void {
    for (const end of [this, this.#peer]) {
      end.#state = CUT;
      end.#fail();
    }
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
    // As an operating system does: who does not read to the end has not understood.
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

  /** The first item is there, unless the hosts are apart. */
  #pass(): void {
    if (this.#state === CUT) return;
    if (this.#network.isParted(this.host, this.peerHost)) {
      this.#heldCount++;
      return;
    }
    const item = this.#items.shift();
    if (item !== undefined) this.#peer.#take(item);
  }

  /** Something has come. */
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

  /** Hands on what has come, as long as it is wanted. */
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

  /** There is room for as much more. */
  #wasRead(bytes: number): void {
    this.#unreadBytes -= bytes;
    const parked = this.#parked;
    if (parked === undefined || this.#unreadBytes >= WINDOW_BYTES) return;
    this.#parked = undefined;
    this.#accept(parked.bytes, parked.done);
  }
}
