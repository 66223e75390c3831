// SPDX-License-Identifier: MIT
/** Regions out of the bytes of a stream: see stream-layout.ts. */

import { BusbarError } from '../../base/errors.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../../pool/index.ts';
import { Payloads } from '../payloads.ts';
import { REFERENCE } from './peer-layout.ts';
import {
  FRAMES,
  GREETING,
  GREETING_BYTES,
  PAYLOAD,
  RECORD_HEAD_BYTES,
  REFERENCE_AT_WORD,
  REFERENCE_SIZE_WORD,
} from './stream-layout.ts';

/** What it needs of the bus. */
export interface RegionSink {
  /** The stream is that of the bus with this index and epoch. **Throws** if there is none. */
  greeted(index: number, epoch: number): void;
  /** **Ownership** takes the reference. */
  received(bufferId: BufferId, offset: number, length: number): void;
}

export class StreamReader {
  readonly #pool: BufferPool;
  readonly #words: Int32Array;
  readonly #frames: Payloads;
  readonly #sink: RegionSink;
  /** The greeting, or the head of a record, as far as it has come. */
  readonly #head: Int32Array = new Int32Array(3);
  readonly #headBytes: Uint8Array = new Uint8Array(this.#head.buffer);
  #headEnd: number = GREETING_BYTES;
  #have: number = 0;
  /** Where the record that is read lies, with one reference; NO_BUFFER: none is. */
  #bufferId: BufferId = NO_BUFFER;
  #begin: number = 0;
  #at: number = 0;
  #end: number = 0;
  /** The payload that came last, if the record after it has not come; less than 0: none. */
  #payloadAt: number = -1;
  #payloadBytes: number = 0;
  #isClosed: boolean = false;

  constructor(pool: BufferPool, sink: RegionSink) {
    this.#pool = pool;
    const { bytes } = pool;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    this.#frames = new Payloads(pool);
    this.#sink = sink;
  }

  /**
   * Reads `bytes[begin, end)`. Returns where it stopped: at `end`, or before it if no buffer is
   * free now; then read from there on later. Once it is closed, by what it hands out, too, it
   * reads nothing.
   *
   * **Throws** ERR_BUSBAR_FRAME_MALFORMED.
   */
  read(bytes: Uint8Array, begin: number, end: number): number {
    let at = begin;
    for (;;) {
      if (this.#isClosed) return end;
      if (this.#have < this.#headEnd) {
        if (at === end) return end;
        this.#headBytes[this.#have++] = bytes[at++];
        if (this.#have === this.#headEnd && this.#headEnd === GREETING_BYTES) this.#greet();
        continue;
      }
      if (this.#bufferId === NO_BUFFER && !this.#beginRecord()) return at;
      const length = Math.min(this.#end - this.#at, end - at);
      this.#pool.bytes.set(bytes.subarray(at, at + length), this.#at);
      this.#at += length;
      at += length;
      if (this.#at < this.#end) return end;
      this.#endRecord();
    }
  }

  /** Gives back what is not whole. */
  close(): void {
    this.#isClosed = true;
    if (this.#bufferId !== NO_BUFFER) this.#pool.release(this.#bufferId);
    this.#bufferId = NO_BUFFER;
    this.#frames.close();
  }

  #greet(): void {
    const [magic, index, epoch] = this.#head;
    if (magic !== GREETING) throw malformed(`greeting ${magic}`);
    this.#headEnd = RECORD_HEAD_BYTES;
    this.#have = 0;
    this.#sink.greeted(index, epoch);
  }

  /** False: no buffer is free now. */
  #beginRecord(): boolean {
    const [kind, length] = this.#head;
    const isAligned = kind === PAYLOAD || (kind === FRAMES && length > 0 && (length & 3) === 0);
    if (!isAligned || length < 0 || length > this.#pool.bufferSize) {
      throw malformed(`record of kind ${kind} with ${length} bytes`);
    }
    if (kind === FRAMES) {
      const at = this.#frames.tryReserve(length);
      if (at < 0) return false;
      this.#begin = at;
      this.#bufferId = this.#frames.bufferId;
      this.#pool.retain(this.#bufferId);
    } else {
      // Of its own: who keeps the payload keeps nothing else.
      const bufferId = this.#pool.tryAcquire();
      if (bufferId === NO_BUFFER) return false;
      this.#bufferId = bufferId;
      this.#begin = this.#pool.offsetOf(bufferId);
    }
    this.#at = this.#begin;
    this.#end = this.#begin + length;
    return true;
  }

  #endRecord(): void {
    const [kind, length] = this.#head;
    const begin = this.#begin;
    if (kind === FRAMES) {
      this.#refer(begin >>> 2);
      this.#payloadAt = -1;
    } else {
      this.#payloadAt = begin;
      this.#payloadBytes = length;
    }
    const bufferId = this.#bufferId;
    this.#bufferId = NO_BUFFER;
    this.#have = 0;
    this.#sink.received(bufferId, begin, kind === FRAMES ? length : 0);
  }

  /** If a payload came before this region, its first frame refers to that. */
  #refer(word: number): void {
    const words = this.#words;
    if (this.#payloadAt < 0 || words[word] !== REFERENCE) return;
    if (words[word + REFERENCE_SIZE_WORD] !== this.#payloadBytes) {
      throw malformed(`reference to a payload of ${this.#payloadBytes} bytes`);
    }
    words[word + REFERENCE_AT_WORD] = this.#payloadAt;
  }
}

function malformed(what: string): BusbarError {
  return new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', what);
}
