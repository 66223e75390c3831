// SPDX-License-Identifier: MIT
/** Packet: a handle on some bytes of a buffer. It holds one reference on the buffer. */

import { copyForeign } from '../base/bytes.ts';
import {
  checkBytes,
  checkInteger,
  checkMade,
  checkRange,
  checkWords,
  copyArray,
  OR_STRING,
  show,
} from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { ensureStep } from '../base/stack.ts';
import { textBytes, writeText } from '../base/text.ts';
import { isWords, lengthOf } from '../base/views.ts';
import { resolveWaitOptions } from '../base/wait-guard.ts';
import { checkPool } from '../pool/check-pool.ts';
import type { BufferId, BufferPool, WaitOptions } from '../pool/index.ts';
import type { Trace } from '../pool/leak-tracker.ts';
import type { TransitLength, TransitOffset } from '../pool/transit-layout.ts';
import {
  readSendPacket,
  SEND_PACKET_WORDS,
  type SendPacket,
  useUp,
  writeSendPacket,
} from './send-packet.ts';

/**
 * In place of the buffer of a packet that was released or sent: NO_BUFFER. Not exported: an
 * exported constant is loaded at each use, and V8 no longer optimises clones away (measured
 * 2026-11, Node 20 to 26: twice the time).
 */
const RELEASED = -1 as BufferId;

/** What only busbar's own code passes to the constructor: a packet releases what it was given. */
const KEY: unique symbol = Symbol('packet');

/** {@link KEY} for classes that extend `Packet`. Not used here: see {@link RELEASED}. */
export const PACKET_KEY: typeof KEY = KEY;

/**
 * The four words between a packet's reference and its SendPacket. One per thread is enough: they
 * are empty between calls.
 */
const transit = new Int32Array(SEND_PACKET_WORDS);

/**
 * A region of a buffer, and one reference that keeps the buffer from being reused.
 *
 *   pool.bytes  ──┬────────────┬─────────────────┬──────┬──
 *                 │ buffer     │◀──── packet ───▶│      │
 *                 └────────────┴─────────────────┴──────┘
 *                          offset           offset + length
 *
 * Positions given to methods (`at`, `begin`, `end`) count from the packet's first byte; {@link
 * offset} is absolute in `pool.bytes`. Numbers are big-endian unless `littleEndian` is true.
 * Packets of one buffer see each other's writes: do not write to a packet that you have shared.
 *
 * **Ownership** the holder releases or sends the packet exactly once (`using` does, unless that was
 * done); all but {@link released} then throws ERR_BUSBAR_PACKET_RELEASED. **Threads** the one that
 * made it; a channel or {@link moveOut} moves it to another. **Cost** one small object; clone and
 * release touch nothing atomic. Loops that cannot afford the object use `pool.retain`,
 * `pool.release` and two numbers: it is the same reference count.
 */
export class Packet {
  readonly pool: BufferPool;
  /** @internal A batch under way writes NO_BUFFER here, and takes it back by a plain store. */
  buffer: BufferId;
  private begin: number;
  private size: number;
  private label: number;
  private readonly trace: Trace | undefined;

  /** @internal Takes over a reference on the buffer, in which the region is known to lie. */
  protected constructor(
    pool: BufferPool,
    bufferId: BufferId,
    offset: number,
    length: number,
    tag: number,
    key: typeof KEY,
  ) {
    // Whatever a program passes: the packet would release a reference that it does not have.
    if (key !== KEY) checkMade(false, new.target, 'Packet.tryFrom or Packet.wrap');
    this.pool = pool;
    this.buffer = bufferId;
    this.begin = offset;
    this.size = length;
    this.label = tag;
    this.trace = pool.leaks === undefined ? undefined : pool.leaks.begin(this, bufferId);
  }

  /**
   * Makes a packet of a reference that the caller holds on `bufferId`.
   *
   * **Ownership** the packet has the reference on success, the caller still has it if this throws.
   * **Throws** RangeError if `[offset, offset + length)` does not lie in the buffer.
   */
  static wrap(pool: BufferPool, bufferId: BufferId, offset: number, length: number): Packet {
    if (!(pool?.bufferCount > 0)) checkPool(pool);
    const begin = offset - pool.offsetOf(bufferId);
    const isNumbers =
      (bufferId | 0) === bufferId &&
      (length | 0) === length &&
      (begin | 0) === begin &&
      typeof offset === 'number';
    if (
      !isNumbers ||
      bufferId >>> 0 >= pool.bufferCount ||
      begin < 0 ||
      length < 0 ||
      begin + length > pool.bufferSize
    ) {
      throwRegion(pool, bufferId, offset, length);
    }
    return new Packet(pool, bufferId, offset, length, 0, KEY);
  }

  /** @internal Like {@link wrap}, of a region that is known to lie in the buffer. */
  static within(
    pool: BufferPool,
    bufferId: BufferId,
    offset: number,
    length: number,
    tag: number = 0,
  ): Packet {
    return new Packet(pool, bufferId, offset, length, tag, KEY);
  }

  /**
   * @internal {@link within}, with a reference of its own. The object comes first: if there is no
   * stack for that, no reference is lost.
   */
  static sharing(
    pool: BufferPool,
    bufferId: BufferId,
    offset: number,
    length: number,
    tag: number = 0,
  ): Packet {
    const packet = new Packet(pool, bufferId, offset, length, tag, KEY);
    pool.retain(bufferId);
    return packet;
  }

  /**
   * Acquires a buffer and copies `source`, bytes or a string, into it; undefined when no buffer is
   * free now.
   *
   * **Throws** ERR_BUSBAR_MESSAGE_TOO_LARGE if the bytes do not fit one buffer.
   */
  static tryFrom(pool: BufferPool, source: Uint8Array | string): Packet | undefined {
    checkPool(pool);
    const isText = typeof source === 'string';
    const length = isText ? textBytes(source) : lengthOf(checkBytes('source', source, OR_STRING));
    if (length > pool.bufferSize) {
      throw new BusbarError(
        'ERR_BUSBAR_MESSAGE_TOO_LARGE',
        `${length} bytes, buffers have ${pool.bufferSize}`,
      );
    }
    const bufferId = pool.tryAcquire();
    if (bufferId < 0) return undefined;
    const offset = pool.offsetOf(bufferId);
    if (isText) writeText(pool.bytes, offset, source, length);
    else pool.arena.write(offset, source, 0, length);
    return new Packet(pool, bufferId, offset, length, 0, KEY);
  }

  /**
   * {@link tryFrom} that waits for a buffer. Do not change the source before the promise settles.
   *
   * **Throws** (rejects) as `tryFrom` and `pool.acquire`.
   */
  static async from(
    pool: BufferPool,
    source: Uint8Array | string,
    options?: WaitOptions,
  ): Promise<Packet> {
    const limits = options === undefined ? undefined : resolveWaitOptions(options);
    const packet = Packet.tryFrom(pool, source);
    if (packet !== undefined) return packet;
    return Packet.fill(pool, await pool.acquire(limits as WaitOptions), source);
  }

  /** Copies a source into a buffer that the caller holds, and knows to be large enough. */
  private static fill(pool: BufferPool, bufferId: BufferId, source: Uint8Array | string): Packet {
    const offset = pool.offsetOf(bufferId);
    try {
      const isText = typeof source === 'string';
      const length = isText ? textBytes(source) : lengthOf(source);
      if (isText) writeText(pool.bytes, offset, source, length);
      else pool.arena.write(offset, source, 0, Math.min(length, pool.bufferSize));
      // Throws if the source has grown meanwhile.
      return Packet.wrap(pool, bufferId, offset, length);
    } catch (error) {
      pool.release(bufferId);
      throw error;
    }
  }

  /**
   * Takes over a packet that another thread (or this one) sent.
   *
   * **Ownership** the reference is this packet's on success; each SendPacket can be received once.
   * **Throws** ERR_BUSBAR_BAD_SEND_PACKET.
   */
  static moveIn(pool: BufferPool, sent: SendPacket): Packet {
    if (!(pool?.bufferCount > 0)) checkPool(pool);
    if (typeof sent !== 'object' || sent === null) {
      throw new TypeError(`sent must be a SendPacket, got ${show(sent)}`);
    }
    writeSendPacket(transit, 0, sent);
    const bufferId = pool.moveFromWords(transit, 0);
    // Before a setter of the caller's runs, which may receive another packet.
    const packet = new Packet(pool, bufferId, transit[1], transit[2], 0, KEY);
    useUp(sent);
    return packet;
  }

  /**
   * Takes over a packet that another thread put into four words of a carrier by {@link moveInto};
   * the words hold no packet afterwards, so they cannot be received twice.
   *
   * **Ownership** the reference is this packet's on success, still the words' if this throws.
   * **Throws** ERR_BUSBAR_BAD_SEND_PACKET.
   */
  static moveFrom(pool: BufferPool, words: Int32Array<ArrayBufferLike>, index: number): Packet {
    if (!(pool?.bufferCount > 0)) checkPool(pool);
    // Elements of an Int32Array have neither accessors nor traps: nothing throws after the move.
    if (!isWords(words)) checkWords('words', words);
    const bufferId = pool.moveFromWords(words, index);
    return new Packet(
      pool,
      bufferId,
      words[index + (1 satisfies TransitOffset)],
      words[index + (2 satisfies TransitLength)],
      0,
      KEY,
    );
  }

  /** The buffer, for the functions that work on plain numbers. The packet keeps its reference. */
  get bufferId(): BufferId {
    if (this.buffer < 0) this.throwReleased();
    return this.buffer;
  }

  /** First byte, absolute in `pool.bytes`. */
  get offset(): number {
    if (this.buffer < 0) this.throwReleased();
    return this.begin;
  }

  /** Bytes. */
  get length(): number {
    if (this.buffer < 0) this.throwReleased();
    return this.size;
  }

  /**
   * An integer of your own, −2³¹ … 2³¹ − 1: the number of a link or a request, say. It goes with
   * the packet through channels, mailboxes and groups, and to clones and slices; `moveOut`,
   * `moveInto` and links leave it behind. Default 0. **Throws** TypeError, RangeError.
   */
  get tag(): number {
    if (this.buffer < 0) this.throwReleased();
    return this.label;
  }

  set tag(value: number) {
    if (this.buffer < 0) this.throwReleased();
    if ((value | 0) !== value) checkInteger('tag', value, -(2 ** 31), 2 ** 31 - 1);
    this.label = value;
  }

  /** True once the packet was released or sent. */
  get released(): boolean {
    return this.buffer < 0;
  }

  /**
   * A view of the packet's bytes, valid until its release. **Cost** allocates the view; prefer
   * fields or offsets.
   */
  get bytes(): Uint8Array<SharedArrayBuffer> {
    const offset = this.offset;
    return this.pool.bytes.subarray(offset, offset + this.size);
  }

  /**
   * A second packet of the same region with a reference of its own. **Cost** one object, nothing
   * atomic.
   */
  clone(): Packet {
    return Packet.sharing(this.pool, this.bufferId, this.begin, this.size, this.label);
  }

  /** A packet of the bytes `[begin, end)` with a reference of its own. **Throws** RangeError. */
  slice(begin: number, end: number = this.length): Packet {
    const bufferId = this.bufferId;
    checkRange(begin, end, this.size);
    return Packet.sharing(this.pool, bufferId, this.begin + begin, end - begin, this.label);
  }

  /**
   * Drops the first `count` bytes of this packet; they stay in the buffer. **Throws** RangeError.
   */
  advance(count: number): void {
    checkInteger('count', count, 0, this.length);
    this.begin += count;
    this.size -= count;
  }

  /**
   * Cuts the packet at the given positions (rising, each within the packet) into `cuts.length + 1`
   * packets.
   *
   * **Ownership** this packet ends, the pieces hold a reference each; if this throws, nothing has
   * changed.
   */
  shatter(cuts: readonly number[]): Packet[] {
    const positions = copyArray('cuts', cuts);
    const { pool, bufferId, label } = this;
    const offset = this.begin;
    const length = this.size;
    let begin = 0;
    for (const cut of positions) begin = checkInteger('cuts', cut, begin, length);
    ensureStep();
    const pieces: Packet[] = [];
    begin = 0;
    for (const cut of positions) {
      pieces.push(Packet.sharing(pool, bufferId, offset + begin, cut - begin, label));
      begin = cut;
    }
    this.end();
    pieces.push(new Packet(pool, bufferId, offset + begin, length - begin, label, KEY));
    return pieces;
  }

  getUint8(at: number): number {
    return this.pool.view.getUint8(this.position(at, 1));
  }

  getUint16(at: number, littleEndian: boolean = false): number {
    return this.pool.view.getUint16(this.position(at, 2), littleEndian);
  }

  getUint32(at: number, littleEndian: boolean = false): number {
    return this.pool.view.getUint32(this.position(at, 4), littleEndian);
  }

  getInt32(at: number, littleEndian: boolean = false): number {
    return this.pool.view.getInt32(this.position(at, 4), littleEndian);
  }

  getFloat64(at: number, littleEndian: boolean = false): number {
    return this.pool.view.getFloat64(this.position(at, 8), littleEndian);
  }

  getBigUint64(at: number, littleEndian: boolean = false): bigint {
    return this.pool.view.getBigUint64(this.position(at, 8), littleEndian);
  }

  /**
   * Copies bytes `[begin, end)` to `target` at `targetOffset`; returns how many. They may overlap
   * if `target` is `pool.bytes`, not in another view of it. **Throws** RangeError.
   */
  copyTo(
    target: Uint8Array,
    targetOffset: number = 0,
    begin: number = 0,
    end: number = this.length,
  ): number {
    const offset = this.offset;
    const room = lengthOf(checkBytes('target', target));
    checkRange(begin, end, this.size);
    checkInteger('targetOffset', targetOffset, 0, room - (end - begin));
    const { arena } = this.pool;
    if (target === arena.bytes) arena.copy(targetOffset, offset + begin, end - begin);
    else copyForeign(target, targetOffset, arena.bytes, offset + begin, offset + end);
    return end - begin;
  }

  /** True if both have the same bytes. */
  equals(other: Packet | Uint8Array): boolean {
    const mine = this.pool.bytes;
    const from = this.offset;
    const theirs = other instanceof Packet ? other.pool.bytes : checkBytes('other', other);
    const otherFrom = other instanceof Packet ? other.offset : 0;
    if (this.size !== (other instanceof Packet ? other.length : lengthOf(theirs))) return false;
    if (theirs === mine) return this.pool.arena.equal(from, otherFrom, this.size);
    for (let i = 0; i < this.size; i++) {
      if (mine[from + i] !== theirs[otherFrom + i]) return false;
    }
    return true;
  }

  /** The bytes as a string, decoded as UTF-8. */
  toString(): string {
    const offset = this.offset;
    return this.pool.text(offset, this.size);
  }

  /**
   * Releases the reference.
   *
   * **Throws** ERR_BUSBAR_PACKET_RELEASED the second time; with leak tracking it says where the
   * first was.
   */
  release(): void {
    const bufferId = this.buffer;
    if (bufferId < 0) this.throwReleased();
    this.pool.release(bufferId);
    // Before any call, which could throw.
    this.buffer = RELEASED;
    if (this.trace !== undefined) this.end();
  }

  /**
   * Turns the packet into four numbers that another thread can {@link moveIn}.
   *
   * **Ownership** this packet ends; the reference is in the result and lives until it is
   * received.
   */
  moveOut(): SendPacket {
    this.pool.moveInto(this.bufferId, this.begin, this.size, transit, 0);
    this.buffer = RELEASED;
    if (this.trace !== undefined) this.end();
    return readSendPacket(transit, 0);
  }

  /**
   * Like {@link moveOut}, into four words of a carrier in shared memory, which publishes them
   * itself.
   */
  moveInto(words: Int32Array<ArrayBufferLike>, index: number): void {
    this.pool.moveInto(this.bufferId, this.begin, this.size, words, index);
    this.buffer = RELEASED;
    if (this.trace !== undefined) this.end();
  }

  /** @internal The reference was moved away by numbers: ends as after {@link moveOut}. */
  markMoved(): void {
    this.end();
  }

  [Symbol.dispose](): void {
    if (this.buffer >= 0) this.release();
  }

  private end(): void {
    this.buffer = RELEASED;
    if (this.trace !== undefined) this.pool.leaks?.end(this.trace);
  }

  private position(at: number, bytes: number): number {
    if (this.buffer < 0) this.throwReleased();
    if ((at | 0) !== at || at < 0 || at + bytes > this.size) this.throwPosition(at, bytes);
    return this.begin + at;
  }

  private throwPosition(at: unknown, bytes: number): never {
    throw new RangeError(
      `at must be an integer that leaves ${bytes} bytes of ${this.size}, got ${show(at)}`,
    );
  }

  private throwReleased(): never {
    const where = this.trace?.ended;
    const detail = where === undefined ? 'BUSBAR_TRACK_LEAKS=1 shows where' : `that was\n${where}`;
    throw new BusbarError('ERR_BUSBAR_PACKET_RELEASED', detail);
  }
}

function throwRegion(pool: BufferPool, id: BufferId, offset: unknown, length: unknown): never {
  checkInteger('bufferId', id, 0, pool.bufferCount - 1);
  const begin = pool.offsetOf(id);
  throw new RangeError(
    `offset and length must lie in buffer ${id}, [${begin}, ${begin + pool.bufferSize}), ` +
      `got offset ${show(offset)}, length ${show(length)}`,
  );
}

describeAs(Packet, 'Packet', (packet) => ({
  bufferId: packet.bufferId,
  offset: packet.offset,
  length: packet.length,
  tag: packet.tag,
}));
