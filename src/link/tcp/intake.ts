// SPDX-License-Identifier: MIT
/**
 * From the socket to the framer: received bytes go into pool memory, frames come out in the same
 * turn.
 */

import type { Duplex } from 'node:stream';
import { assert } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import { BufferAllowance } from '../../framer/buffer-allowance.ts';
import type { Framer } from '../../framer/index.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import type { ReadingStats } from '../link.ts';
import { type FrameProgress, type FrameReader, FrameWait } from './frame-deadlines.ts';
import type { ReadTarget } from './ingest.ts';
import { type IntakeOwner, leftBehind, NO_SOCKET, NOBODY, type Stoppable } from './intake-owner.ts';
import { LingeringBuffer, type LingeringReader } from './lingering.ts';
import { Stash } from './stash.ts';

/** Of an intake that shares with no others. */
const UNLIMITED = new BufferAllowance(Infinity);

/** What an intake has done so far. */
export interface IntakeStats extends ReadingStats {
  /** How many of the reads the kernel made straight into a pool buffer. */
  readonly directReads: number;
}

/** Reads up to this size are worth a copy: it costs less than the system call did. */
const SMALL_READ_BYTES_MAX = 4096;

/**
 * The memory that quiet links of this thread read into, all of them the same: a read is delivered
 * at once, before the next one can happen.
 */
const shared = new Uint8Array(SMALL_READ_BYTES_MAX + 1);

/** The kernel's next read goes to memory that all quiet links share. */
const QUIET = 'quiet';
/** The kernel's next read goes into the framer's buffer. */
const DIRECT = 'direct';
/** Bytes have arrived, and there is no buffer for them: one is waited for. */
const STARVED = 'starved';
/** A buffer that was waited for is there, and the framer has taken nothing since. */
const FED = 'fed';
/** Nothing is delivered any more. */
const STOPPED = 'stopped';
type IntakeState = typeof QUIET | typeof DIRECT | typeof STARVED | typeof FED | typeof STOPPED;

const END_TO_COME = 0;
/** The end has come, and is not told yet. */
const END_DUE = 1;
const END_TOLD = 2;
type EndState = typeof END_TO_COME | typeof END_DUE | typeof END_TOLD;

/** The default of `directReadBytes`. */
export function directReadBytesDefault(bufferSize: number): number {
  return Math.min(SMALL_READ_BYTES_MAX, bufferSize >>> 2);
}

/** The largest meaningful value of `directReadBytes`. */
export const DIRECT_READ_BYTES_MAX: number = SMALL_READ_BYTES_MAX;

/**
 * The reading half of a link.
 *
 *   QUIET   the kernel's next read goes to memory that all quiet links share; its bytes are
 *           copied into the framer. No buffer is held, however long nothing comes.
 *   DIRECT  the next read goes into the framer's buffer, where its frames are found. One buffer is
 *           held.
 *
 *   STARVED the pool has no buffer for what has arrived; the socket is paused.
 *   FED     there is one, which the framer has not used yet.
 *   STOPPED nothing is delivered any more.
 *
 *   QUIET ──a read fills the space, or leaves much of a frame begun──▶ DIRECT
 *   QUIET ◀──a read does not fill the space, and leaves no frame begun, or little of one── DIRECT
 *   QUIET ──no buffer──▶ STARVED ──a buffer──▶ FED ──the framer takes bytes, or the end──▶ QUIET
 *   any ──stop──▶ STOPPED
 *
 * Little is what a small read leaves and {@link Framer} keeps outside of the pool; more of a frame
 * holds a buffer until the rest has come, at most for `frameTimeoutMs`.
 *
 * A read that does not fill its space has emptied the socket: the next one may be long in coming.
 * So a busy connection is not copied, and thousands of quiet ones cost the pool nothing. While
 * packets keep the framer's buffer anyway, it is kept for the next small reads too, so that small
 * packets do not take a buffer each; until nothing has come for a while.
 *
 * When the pool has no buffer, or its {@link BufferAllowance} no permit, bytes that have arrived
 * wait in memory of their own (at most one read), the socket is paused, and the intake queues up
 * for it like any other waiter. Nothing is lost; TCP stops the sender. While others wait for a
 * permit, a busy link gives its own back after each frame.
 */
export class Intake implements LingeringReader, FrameReader {
  readonly framer: Framer;
  /** For sockets whose memory we can name. */
  readonly target: ReadTarget;

  readonly #pool: BufferPool;
  /** 0: the second and all later reads are direct. */
  readonly #directReadBytes: number;
  readonly #frameWait: FrameWait;
  readonly #lingering: LingeringBuffer;
  readonly #allowance: BufferAllowance;
  readonly #quiet: Uint8Array;
  #owner: IntakeOwner = NOBODY;
  #socket: Stoppable = NO_SOCKET;

  #state: IntakeState = QUIET;
  /** Where the kernel's next read goes: {@link #quiet}, or, DIRECT, space that the framer lent. */
  #space: Uint8Array;
  /** Bytes that arrived and are not in the framer yet. */
  readonly #stash = new Stash();

  #paused = false;
  #delivering = false;
  /** Ends the wait for a buffer. Only while STARVED. */
  #starving: AbortController | undefined;
  #end: EndState = END_TO_COME;

  #bytesRead = 0;
  #reads = 0;
  #directReads = 0;
  #pauses = 0;
  #exhaustions = 0;

  constructor(
    pool: BufferPool,
    framer: Framer,
    directReadBytes: number,
    frameTimeoutMs: number = Infinity,
    allowance: BufferAllowance = UNLIMITED,
  ) {
    this.#pool = pool;
    this.framer = framer;
    this.#allowance = allowance;
    framer.limitTo(allowance);
    this.#frameWait = new FrameWait(this, frameTimeoutMs);
    this.#lingering = new LingeringBuffer(pool, framer, this);
    this.#directReadBytes = directReadBytes;
    // One more: bytes that are as many as a power of two do not fill it.
    this.#quiet = directReadBytes === 0 ? shared : shared.subarray(0, directReadBytes + 1);
    this.#space = this.#quiet;
    this.target = {
      buffer: () => this.#space,
      callback: (count) => this.#onRead(count),
    };
  }

  /**
   * Before the first byte: whom to deliver to, and the socket; `copying`: it delivers chunks of its
   * own.
   */
  open(owner: IntakeOwner, socket: Duplex, copying: boolean): void {
    assert(this.#owner === NOBODY, 'an intake is opened once');
    this.#owner = owner;
    this.#socket = socket;
    if (!copying) return;
    socket.on('data', (chunk: Uint8Array) => {
      if (!this.#onChunk(chunk)) socket.pause();
    });
    socket.resume();
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Whether nothing is delivered any more. */
  get isOver(): boolean {
    return this.#state === STOPPED;
  }

  /** Reads so far. */
  get reads(): number {
    return this.#reads;
  }

  /** Whether whoever takes frames should leave the rest. */
  get stopped(): boolean {
    return this.#paused || this.isOver;
  }

  /** Bytes of a frame that has begun, or that no framer has seen yet. */
  get pendingBytes(): number {
    return this.framer.pendingBytes + this.#stash.length;
  }

  /** Stops delivery, also within a delivery, and with it reading. */
  pause(): void {
    if (this.#paused || this.isOver) return;
    this.#paused = true;
    this.#pauses++;
    if (!this.#delivering) this.#socket.pause();
  }

  /** Goes on: with what has arrived already, then with reading. */
  resume(): void {
    if (!this.#paused || this.isOver) return;
    this.#paused = false;
    if (this.#delivering || this.#owner === NOBODY) return;
    if (this.#state !== STARVED) this.#goOn();
  }

  /**
   * Nothing more will come. Streams say so also while they are paused: it is told when everything
   * before it has been delivered.
   */
  end(): void {
    if (this.#end === END_TO_COME) this.#end = END_DUE;
    this.#tellEnd();
  }

  /** Nothing is delivered any more. The space lent stays until {@link close}. */
  stop(): void {
    this.#state = STOPPED;
    this.#stash.clear();
    this.#endStarving();
    this.invariants();
  }

  /**
   * Gives the framer's buffer back. Only when the kernel cannot write into it any more: at the
   * socket's 'close'.
   */
  close(): void {
    assert(!this.#delivering || this.isOver, 'who delivers is stopped before it is closed');
    this.stop();
    this.framer.close();
  }

  stats(): IntakeStats {
    return {
      bytesRead: this.#bytesRead,
      reads: this.#reads,
      directReads: this.#directReads,
      pauses: this.#pauses,
      exhaustions: this.#exhaustions,
    };
  }

  /**
   * `count` bytes are in `#space`. Returns whether to go on reading; leaves in `#space` where to.
   */
  #onRead(count: number): boolean {
    const space = this.#space;
    this.#bytesRead += count;
    this.#reads++;
    if (this.isOver) {
      // Whoever closes gracefully waits for the peer's end and drops what comes before it.
      this.#space = this.#quiet;
      return true;
    }
    if (this.#state === DIRECT) {
      this.#directReads++;
      this.framer.report(count);
      this.#becomeQuiet();
    } else {
      this.#stash.push(count < space.length ? space.subarray(0, count) : space);
    }
    const goOn = this.#advance();
    // What is left of a quiet read lies in memory that all links share.
    this.#stash.keep(shared.buffer);
    if (goOn) this.#tellEnd();
    const readsOn = goOn && this.#chooseSpace(count, count === space.length);
    this.invariants();
    return readsOn;
  }

  #onChunk(chunk: Uint8Array): boolean {
    this.#bytesRead += chunk.length;
    this.#reads++;
    if (this.isOver) return true;
    // Streams of objects have such chunks.
    if (chunk.length === 0) return true;
    this.#stash.push(chunk);
    // Re-entrancy: a stream may deliver while the handler writes. Whoever delivers goes on with it,
    // when the handler has done with the frame that it looks at.
    if (this.#delivering) return true;
    const goOn = this.#advance();
    if (goOn) {
      this.#rest(chunk.length);
      this.#tellEnd();
    }
    this.invariants();
    return goOn;
  }

  /**
   * Delivers all that is there, bytes not yet in the framer included. Returns whether to go on
   * reading.
   */
  #advance(): boolean {
    if (!this.#deliver()) return false;
    while (!this.#stash.isEmpty && !this.stopped) {
      let taken = 0;
      try {
        taken = this.#stash.feedInto(this.framer);
      } catch (error) {
        this.#fail(error);
        return false;
      }
      if (taken === 0) {
        if (this.#state === FED) this.#owner.deliveryFailed(leftBehind());
        else this.#starve();
        return false;
      }
      if (this.#state !== QUIET) this.#becomeQuiet();
      if (!this.#deliver()) return false;
    }
    return !this.#paused || this.isOver;
  }

  /** Returns false if that failed. */
  #deliver(): boolean {
    if (this.stopped) return true;
    this.#delivering = true;
    try {
      this.#owner.deliver();
      return true;
    } catch (error) {
      if (this.framer.failedWith(error)) this.#fail(error);
      else this.#owner.deliveryFailed(error);
      return false;
    } finally {
      this.#delivering = false;
    }
  }

  /**
   * After a read that was delivered: direct or quiet, as the class comment says. False: the link
   * has failed.
   */
  #chooseSpace(count: number, filled: boolean): boolean {
    if (this.isOver) return true;
    const framer = this.framer;
    if (this.#allowance.isWanted || (!filled && this.#directReadBytes > 0)) {
      if (this.#rest(count)) return true;
    } else if (framer.pendingBytes > 0) {
      this.#expectRest();
    }
    try {
      const offset = framer.lend();
      // Without a buffer now, stay quiet: there may be one when bytes arrive.
      if (offset < 0) return true;
      this.#becomeDirect(offset);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** After a read that has emptied the socket: false if a frame begun needs the buffer. */
  #rest(count: number): boolean {
    const framer = this.framer;
    if (framer.pendingBytes === 0) {
      this.#lingering.release();
      return true;
    }
    this.#expectRest();
    // After a large read the next one is, too, as a rule: it is worth a buffer.
    return count <= SMALL_READ_BYTES_MAX && framer.park();
  }

  /** A frame has begun: from now on its rest is waited for. */
  #expectRest(): void {
    this.#frameWait.begin(this.#bytesRead, this.framer.pendingBytes);
  }

  /** For {@link FrameWait}. */
  frameProgress(): FrameProgress | undefined {
    if (this.isOver) return undefined;
    // What waits for the program or for a buffer does not wait for the peer.
    const isHeldUp = this.#paused || this.#state === STARVED || this.#delivering;
    return { isHeldUp, bytesRead: this.#bytesRead, pendingBytes: this.framer.pendingBytes };
  }

  /** For {@link FrameWait}: the peer has taken too long. */
  frameLate(detail: string): void {
    this.#owner.intakeFailed(new BusbarError('ERR_BUSBAR_TIMEOUT', detail));
  }

  /** Queues up for a buffer. */
  #starve(): void {
    assert(this.#state !== DIRECT, 'who has a buffer does not starve');
    assert(this.#state !== STOPPED, 'who is stopped wants no buffer');
    if (this.#state === STARVED) return;
    assert(!this.#delivering, 'who delivers has bytes to deliver');
    this.#state = STARVED;
    this.#exhaustions++;
    const starving = new AbortController();
    this.#starving = starving;
    this.#allowance.acquire(this.#pool, starving.signal).then(
      (bufferId) => {
        if (this.#starving === starving) this.#feedInto(bufferId);
        else this.#allowance.release(this.#pool, bufferId);
      },
      (error) => {
        if (this.#starving !== starving) return;
        this.#becomeQuiet();
        this.#fail(error);
      },
    );
  }

  /** The buffer that the intake has waited for is there. */
  #feedInto(bufferId: BufferId): void {
    assert(this.#state === STARVED, 'who does not starve is not fed');
    assert(!this.#delivering, 'nothing is delivered from a microtask');
    this.#starving = undefined;
    this.#state = FED;
    this.framer.providePermit();
    this.framer.provideBuffer(bufferId);
    this.invariants();
    if (!this.#paused) this.#goOn();
  }

  /** What has arrived has gone into the framer; who still waits for a buffer needs none. */
  #becomeQuiet(): void {
    assert(this.#state !== STOPPED, 'who is stopped takes nothing');
    assert(this.framer.lentBytes === 0, 'nothing is lent to who reads elsewhere');
    this.#endStarving();
    this.#state = QUIET;
    this.#space = this.#quiet;
  }

  #endStarving(): void {
    this.#starving?.abort();
    this.#starving = undefined;
  }

  #becomeDirect(offset: number): void {
    assert(this.#state === QUIET || this.#state === FED, 'what was read is dealt with');
    assert(this.#stash.isEmpty, 'bytes that wait come before those that will be read');
    this.#state = DIRECT;
    this.#space = new Uint8Array(this.#pool.bytes.buffer, offset, this.framer.lentBytes);
  }

  /** Delivers what has arrived and, if that is all, reads on. */
  #goOn(): void {
    if (!this.#advance()) return;
    this.#rest(0);
    this.#socket.resume();
    this.#tellEnd();
  }

  /** What a codec of the program's own threw means that this is no stream of frames. */
  #fail(cause: unknown): void {
    const error = BusbarError.isOne(cause)
      ? cause
      : new BusbarError('ERR_BUSBAR_FRAME_MALFORMED', undefined, { cause });
    this.#owner.intakeFailed(error);
  }

  #tellEnd(): void {
    if (this.#end !== END_DUE) return;
    const waits = this.#paused || this.#state === STARVED || !this.#stash.isEmpty;
    if (!this.isOver && (waits || this.#delivering)) return;
    // Whoever is told may want to finish what has begun.
    if (!this.isOver && !this.framer.unpark()) {
      this.#starve();
      return;
    }
    assert(this.#stash.isEmpty, 'the end comes after all that was sent');
    this.#end = END_TOLD;
    this.#owner.ended();
  }

  /** Checks how the state and what it stands for go together. Holds between any two calls. */
  invariants(): void {
    const state = this.#state;
    const isStarving = this.#starving !== undefined;
    assert(isStarving === (state === STARVED), 'who starves waits for a buffer, and nobody else');
    const isQuiet = this.#space === this.#quiet;
    if (state === DIRECT) assert(!isQuiet, 'direct reads go into the space that was lent');
    else assert(isQuiet || state === STOPPED, 'other reads go into memory that all links share');
    assert(state !== STOPPED || this.#stash.isEmpty, 'who is stopped keeps nothing');
    assert(this.#end !== END_TOLD || this.#stash.isEmpty, 'nothing waits after the end');
  }
}
