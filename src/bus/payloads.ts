// SPDX-License-Identifier: MIT
/** Pool memory for payloads that are not packets: many small ones share a buffer. */

import { assert } from '../base/assert.ts';
import { checkBytes, show } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';
import { textBytes, writeText } from '../base/text.ts';
import { lengthOf } from '../base/views.ts';
import { Packet } from '../packet/index.ts';
import { type BufferId, type BufferPool, NO_BUFFER } from '../pool/index.ts';

/** What is published: bytes or a string, which are copied, or a packet, which is passed on. */
export type BusPayload = Uint8Array<ArrayBufferLike> | string | Packet;

/** How many bytes a payload has. **Throws** TypeError, ERR_BUSBAR_MESSAGE_TOO_LARGE. */
export function sizeOf(payload: Exclude<BusPayload, Packet>, pool: BufferPool): number {
  const size = typeof payload === 'string' ? textBytes(payload) : lengthOf(checkPayload(payload));
  if (size > pool.bufferSize) {
    throw new BusbarError(
      'ERR_BUSBAR_MESSAGE_TOO_LARGE',
      `${size} bytes, buffers have ${pool.bufferSize}`,
    );
  }
  return size;
}

/** The bytes of any payload. **Throws** as {@link sizeOf}; TypeError: a packet of another pool. */
export function bytesOf(payload: BusPayload, pool: BufferPool): number {
  if (!(payload instanceof Packet)) return sizeOf(payload, pool);
  if (payload.pool !== pool) throw new TypeError('payload is a packet of another pool');
  return payload.length;
}

/** In place of a number of recipients: nothing was sent. */
export const NOT_NOW = -1;

/** NOT_NOW, for a payload that can be published later. **Throws** as {@link bytesOf}. */
export function notNow(payload: BusPayload, pool: BufferPool): typeof NOT_NOW {
  bytesOf(payload, pool);
  return NOT_NOW;
}

function checkPayload(payload: unknown): Uint8Array<ArrayBufferLike> {
  if (payload instanceof Uint8Array) return checkBytes('payload', payload);
  throw new TypeError(`payload must be a Uint8Array, a string or a Packet, got ${show(payload)}`);
}

export class Payloads {
  readonly #pool: BufferPool;
  /** The buffer that is being filled, with one reference of this object; or NO_BUFFER. */
  #bufferId: BufferId = NO_BUFFER;
  #at: number = 0;
  #end: number = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /**
   * @internal Copies a payload of `length` bytes after earlier ones. Returns where it begins, or -1
   * if no buffer is free now.
   *
   * **Ownership** this object holds a reference on {@link bufferId} until the next call.
   */
  store(payload: Exclude<BusPayload, Packet>, length: number): number {
    let at = this.#at;
    if (this.#bufferId === NO_BUFFER || at + length > this.#end) {
      at = this.#begin(length);
      if (at < 0) return -1;
    } else {
      this.#at = at + length;
    }
    this.put(at, payload, length);
    return at;
  }

  /** Writes a payload of `length` bytes where they were reserved. */
  put(at: number, payload: Exclude<BusPayload, Packet>, length: number): void {
    if (typeof payload === 'string') writeText(this.#pool.bytes, at, payload, length);
    else this.#pool.arena.write(at, payload, 0, length);
  }

  /**
   * Where `length` bytes may be written, a multiple of four after earlier ones; -1: no buffer is
   * free now. **Ownership** this object's, until the next call.
   */
  tryReserve(length: number): number {
    const at = (this.#at + 3) & ~3;
    if (this.#bufferId !== NO_BUFFER && at + length <= this.#end) {
      this.#at = at + length;
      return at;
    }
    return this.#begin(length);
  }

  /** The buffer of the last payload. */
  get bufferId(): BufferId {
    return this.#bufferId;
  }

  close(): void {
    const id = this.#bufferId;
    if (id === NO_BUFFER) return;
    this.#bufferId = NO_BUFFER;
    this.#pool.release(id);
  }

  /** Takes `length` bytes of another buffer. */
  #begin(length: number): number {
    assert(length <= this.#pool.bufferSize, 'a frame fits a buffer');
    const bufferId = this.#pool.tryAcquire();
    if (bufferId === NO_BUFFER) return -1;
    this.close();
    this.#bufferId = bufferId;
    const begin = this.#pool.offsetOf(bufferId);
    this.#at = begin + length;
    this.#end = begin + this.#pool.bufferSize;
    return begin;
  }
}
