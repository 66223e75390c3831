// SPDX-License-Identifier: MIT
/**
 * The two framers that programs write by hand, without a pool: the baselines of busbar's framer.
 */

import { PREFIX_BYTES } from './stream.ts';

/** The usual one: joins what was left over with the new chunk, and hands out a view per frame. */
export class ConcatFramer {
  #joined: Buffer = Buffer.alloc(0);
  #begin = 0;

  /** Takes the bytes of one read. */
  push(chunk: Uint8Array): void {
    this.#joined = Buffer.concat([this.#joined.subarray(this.#begin), chunk]);
    this.#begin = 0;
  }

  /** The payload of the next complete frame. */
  next(): Buffer | undefined {
    const joined = this.#joined;
    const payload = this.#begin + PREFIX_BYTES;
    if (payload > joined.length) return undefined;
    const end = payload + joined.readUInt32LE(this.#begin);
    if (end > joined.length) return undefined;
    this.#begin = end;
    return joined.subarray(payload, end);
  }
}

/**
 * The fast one: keeps only a rest and hands out offsets without a view.
 *
 * **Ownership.** None: a frame is gone with the next `push`, and no other thread can have it.
 */
export class RestFramer {
  /** Where the frame that `next` found lies. */
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  offset = 0;
  length = 0;
  readonly #rest: Uint8Array;
  readonly #restView: DataView;
  #restSize = 0;
  #chunk: Uint8Array = new Uint8Array(0);
  #chunkView: DataView = new DataView(new ArrayBuffer(0));
  #begin = 0;
  #end = 0;

  constructor(maxFrameBytes: number) {
    this.#rest = new Uint8Array(maxFrameBytes);
    this.#restView = new DataView(this.#rest.buffer);
  }

  /**
   * Takes the bytes `[0, size)` of `chunk`, which stay the caller's and must stand until `next`
   * returns false.
   */
  push(chunk: Uint8Array, view: DataView, size: number): void {
    this.#chunk = chunk;
    this.#chunkView = view;
    this.#begin = 0;
    this.#end = size;
  }

  /** True: `bytes`, `view`, `offset` and `length` describe the payload of the next frame. */
  next(): boolean {
    if (this.#restSize > 0) return this.#nextOfRest();
    const payload = this.#begin + PREFIX_BYTES;
    if (payload > this.#end) return this.#keepRest();
    const length = this.#chunkView.getUint32(this.#begin, true);
    const end = payload + length;
    if (end > this.#end) return this.#keepRest();
    this.#begin = end;
    this.bytes = this.#chunk;
    this.view = this.#chunkView;
    this.offset = payload;
    this.length = length;
    return true;
  }

  /** Completes the frame whose beginning came with an earlier chunk. */
  #nextOfRest(): boolean {
    if (!this.#fillRest(PREFIX_BYTES)) return false;
    const length = this.#restView.getUint32(0, true);
    if (!this.#fillRest(PREFIX_BYTES + length)) return false;
    this.#restSize = 0;
    this.bytes = this.#rest;
    this.view = this.#restView;
    this.offset = PREFIX_BYTES;
    this.length = length;
    return true;
  }

  /** Tops the rest up to `size` bytes; false: the chunk ended before. */
  #fillRest(size: number): boolean {
    const missing = size - this.#restSize;
    if (missing <= 0) return true;
    const end = Math.min(this.#begin + missing, this.#end);
    this.#rest.set(this.#chunk.subarray(this.#begin, end), this.#restSize);
    this.#restSize += end - this.#begin;
    this.#begin = end;
    return this.#restSize === size;
  }

  #keepRest(): boolean {
    this.#rest.set(this.#chunk.subarray(this.#begin, this.#end));
    this.#restSize = this.#end - this.#begin;
    this.#begin = this.#end;
    return false;
  }
}
