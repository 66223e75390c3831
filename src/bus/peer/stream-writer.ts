// SPDX-License-Identifier: MIT
/** Regions as bytes of a stream: see stream-layout.ts. */

import { type BufferId, type BufferPool, NO_BUFFER } from '../../pool/index.ts';
import { NOT_NOW, SENT, type SendResult } from './peer-carrier.ts';
import { REFERENCE } from './peer-layout.ts';
import {
  FRAMES,
  GREETING,
  PAYLOAD,
  REFERENCE_AT_WORD,
  REFERENCE_SIZE_WORD,
} from './stream-layout.ts';

/** Where the bytes go: the writer of a link. */
export interface ByteSink {
  /** Takes `bytes[begin, end)`, at most `bytesMax` of them. False: not now, and it took none. */
  tryWrite(bytes: Uint8Array, begin: number, end: number): boolean;
  readonly bytesMax: number;
}

/** Bytes that are to be written, with a reference on their buffer, or none. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly bufferId: BufferId;
  at: number;
  readonly end: number;
}

export class StreamWriter {
  readonly #pool: BufferPool;
  readonly #words: Int32Array;
  readonly #sink: ByteSink;
  /** A greeting, or up to two records. */
  readonly #pieces: Piece[] = [];
  /** A reference that waits for its frame. */
  #reference: BufferId = NO_BUFFER;
  #isClosed: boolean = false;

  constructor(pool: BufferPool, sink: ByteSink, index: number, epoch: number) {
    this.#pool = pool;
    const { bytes } = pool;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    this.#sink = sink;
    this.#addWords(GREETING, index, epoch);
  }

  /** As `PeerCarrier.trySend`. */
  trySend(bufferId: BufferId, offset: number, length: number): SendResult {
    if (!this.flush()) return NOT_NOW;
    const reference = this.#reference;
    this.#reference = length === 0 ? bufferId : NO_BUFFER;
    if (reference !== NO_BUFFER) this.#addPayload(reference, length === 0 ? -1 : offset >>> 2);
    if (length > 0) this.#add(FRAMES, bufferId, offset, length);
    try {
      this.flush();
    } catch {
      // The region is taken. The next call meets the error before it takes anything.
    }
    return SENT;
  }

  /** Writes what is left. False: not all of it now, or it is closed. */
  flush(): boolean {
    const pieces = this.#pieces;
    for (let piece = pieces[0]; piece !== undefined; piece = pieces[0]) {
      const { at } = piece;
      if (at === piece.end) {
        pieces.shift();
        this.#release(piece.bufferId);
        continue;
      }
      // Before the call: the sink may say that it has drained, or that it has ended.
      piece.at = Math.min(piece.end, at + this.#sink.bytesMax);
      let isTaken = false;
      try {
        isTaken = this.#sink.tryWrite(piece.bytes, at, piece.at);
      } finally {
        if (!isTaken) piece.at = at;
      }
      if (!isTaken) return false;
    }
    return !this.#isClosed;
  }

  /** Gives back what was not written. */
  close(): void {
    this.#isClosed = true;
    for (const { bufferId } of this.#pieces.splice(0)) this.#release(bufferId);
    this.#release(this.#reference);
    this.#reference = NO_BUFFER;
  }

  /** The payload of the frame at `word`; without such a frame the reference alone. */
  #addPayload(bufferId: BufferId, word: number): void {
    const words = this.#words;
    const isReferred = word >= 0 && words[word] === REFERENCE;
    const at = isReferred ? words[word + REFERENCE_AT_WORD] : 0;
    this.#add(PAYLOAD, bufferId, at, isReferred ? words[word + REFERENCE_SIZE_WORD] : 0);
  }

  #add(kind: number, bufferId: BufferId, offset: number, length: number): void {
    this.#addWords(kind, length);
    this.#pieces.push({ bytes: this.#pool.bytes, bufferId, at: offset, end: offset + length });
  }

  #addWords(...words: number[]): void {
    const bytes = new Uint8Array(Int32Array.from(words).buffer);
    this.#pieces.push({ bytes, bufferId: NO_BUFFER, at: 0, end: bytes.length });
  }

  #release(bufferId: BufferId): void {
    if (bufferId !== NO_BUFFER) this.#pool.release(bufferId);
  }
}
