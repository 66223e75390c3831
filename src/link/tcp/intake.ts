// SPDX-License-Identifier: MIT
/** `Intake`: the reading half of a `TcpLink`. Reads into the framer and delivers its frames. */

import type { Duplex } from 'node:stream';
import { assert } from '../../base/assert.ts';
import { BusbarError } from '../../base/errors.ts';
import { type BufferAllowance, UNLIMITED } from '../../framer/buffer-allowance.ts';
import type { Framer } from '../../framer/index.ts';
import type { BufferId, BufferPool } from '../../pool/index.ts';
import { BufferWait } from '../buffer-wait.ts';
import type { ReadingStats } from '../link.ts';
import { type DueReader, type FrameProgress, FrameWait } from './frame-deadlines.ts';
import {
  type IntakeOwner,
  leftBehind,
  NO_OWNER,
  NO_SOCKET,
  type Stoppable,
} from './intake-owner.ts';
import { LingeringBuffer, type LingeringReader } from './lingering.ts';
import { quietSpace, SMALL_READ_BYTES_MAX } from './quiet-space.ts';
import type { ReadTarget } from './read-target.ts';
import { Stash } from './stash.ts';

/** Counters of an intake. */
export interface IntakeStats extends ReadingStats {
  /** Reads that the kernel made straight into a pool buffer. */
  readonly directReads: number;
}

/** The kernel's next read goes to memory that all quiet links share. */
const QUIET = 'quiet';
/** The kernel's next read goes into the framer's buffer. */
const DIRECT = 'direct';
/** Bytes have arrived, and the intake waits for a buffer for them. */
const STARVED = 'starved';
/** The awaited buffer has come, and the framer has taken no bytes since. */
const FED = 'fed';
/** Nothing more is delivered. */
const STOPPED = 'stopped';
type IntakeState = typeof QUIET | typeof DIRECT | typeof STARVED | typeof FED | typeof STOPPED;

const END_TO_COME = 0;
/** The end has come, and the owner has not been called yet. */
const END_DUE = 1;
const END_TOLD = 2;
type EndState = typeof END_TO_COME | typeof END_DUE | typeof END_TOLD;

/**
 * The reading half of a link.
 *
 *   QUIET   the kernel's next read goes to memory that all quiet links share; its bytes are copied
 *           into the framer. No buffer is held.
 *   DIRECT  the next read goes into the framer's buffer, where its frames are found. One buffer is
 *           held.
 *   STARVED the pool has no buffer for the bytes that have arrived; the socket is paused.
 *   FED     the buffer has come; the framer has not used it yet.
 *   STOPPED nothing more is delivered.
 *
 *   QUIET ──a read fills the space, or leaves a long unfinished frame──▶ DIRECT
 *   DIRECT ──a read does not fill the space, and no unfinished frame is left, or a short one──▶
 *       QUIET
 *   QUIET ──no buffer──▶ STARVED ──a buffer──▶ FED ──the framer takes bytes, or the end──▶ QUIET
 *   STARVED ──a buffer comes while the link is paused, and is given back──▶ QUIET
 *   any ──stop──▶ STOPPED
 *
 * An unfinished frame is short if a small read left it and {@link Framer} can keep it outside of
 * the pool. A longer one holds a buffer until the rest has come, at most for `frameTimeoutMs`.
 *
 * A read that does not fill its space has emptied the socket, and the next read may come much
 * later. So the bytes of a busy connection are not copied, and thousands of quiet connections cost
 * the pool nothing. While packets hold the framer's buffer anyway, the framer keeps it, too, so
 * that the next small packets share it; it releases the buffer once nothing has come for a while.
 *
 * If the pool has no buffer, or the {@link BufferAllowance} no permit, the bytes that have arrived
 * wait in separate memory (usually those of one read), the socket is paused, and the intake queues
 * like any other waiter. Nothing is lost; TCP stops the sender. While others wait for a permit, a
 * busy link returns its own after each read that leaves no long unfinished frame. If more than half
 * of the permits are taken, no intake waits in DIRECT with an empty buffer: peers that then fall
 * silent would keep the permits for ever.
 */
export class Intake implements LingeringReader, DueReader {
  readonly framer: Framer;
  /** For sockets that read into memory that the intake names. */
  readonly target: ReadTarget;

  readonly #pool: BufferPool;
  /** 0: the second and all later reads are direct. */
  readonly #directReadBytes: number;
  readonly #frameWait: FrameWait;
  readonly #lingering: LingeringBuffer;
  readonly #allowance: BufferAllowance;
  readonly #quiet: Uint8Array;
  #owner: IntakeOwner = NO_OWNER;
  #socket: Stoppable = NO_SOCKET;

  #state: IntakeState = QUIET;
  /** Where the kernel's next read goes: {@link #quiet}, or, if DIRECT, space lent by the framer. */
  #space: Uint8Array;
  /** Bytes that have arrived and are not in the framer yet. */
  readonly #stash = new Stash();

  #paused = false;
  #delivering = false;
  /** On while STARVED. */
  readonly #wait: BufferWait;
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
    this.#wait = new BufferWait({
      acquire: (signal) => allowance.acquire(pool, signal),
      release: (bufferId) => allowance.release(pool, bufferId),
      feed: (bufferId) => this.#feedInto(bufferId),
      waitFailed: (error) => {
        this.#becomeQuiet();
        this.#fail(error);
      },
    });
    this.#directReadBytes = directReadBytes;
    this.#quiet = quietSpace(directReadBytes);
    this.#space = this.#quiet;
    this.target = {
      buffer: () => this.#space,
      callback: (count) => this.#onRead(count),
    };
  }

  /** Called before the first byte. `copying`: the socket delivers its own chunks. */
  open(owner: IntakeOwner, socket: Duplex, copying: boolean): void {
    assert(this.#owner === NO_OWNER, 'an intake is opened once');
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

  /** Whether the owner was told of the peer's end. */
  get hasEnded(): boolean {
    return this.#end === END_TOLD;
  }

  /** Whether delivery has stopped for good. */
  get isOver(): boolean {
    return this.#state === STOPPED;
  }

  /** Reads so far. */
  get reads(): number {
    return this.#reads;
  }

  /** Whether no more frames are to be taken: the intake is paused or stopped. */
  get stopped(): boolean {
    return this.#paused || this.isOver;
  }

  /** Bytes of the unfinished frame, and those that the framer has not seen yet. */
  get pendingBytes(): number {
    return this.framer.pendingBytes + this.#stash.length;
  }

  /** Stops delivery and reading, also from within a delivery. */
  pause(): void {
    if (this.#paused || this.isOver) return;
    this.#paused = true;
    this.#pauses++;
    if (!this.#delivering) this.#socket.pause();
  }

  /** Delivers what has arrived already, then reads on. */
  resume(): void {
    if (!this.#paused || this.isOver) return;
    this.#paused = false;
    if (this.#delivering || this.#owner === NO_OWNER) return;
    if (this.#state !== STARVED) this.#goOn();
  }

  /**
   * Called at the end of the stream, also while the intake is paused. `owner.ended` is called once
   * everything before the end has been delivered.
   */
  end(): void {
    if (this.#end === END_TO_COME) this.#end = END_DUE;
    // Without an owner, the handler threw and the socket was destroyed; Bun still ends it.
    if (this.#owner !== NO_OWNER) this.#tellEnd();
  }

  /** Delivers what has arrived, also while paused, as far as there are buffers for it. */
  deliverRest(): void {
    if (this.isOver || this.#owner === NO_OWNER) return;
    this.#paused = false;
    this.#advance();
  }

  /** Stops delivery for good. Space lent by the framer stays valid until {@link close}. */
  stopReading(): void {
    this.#state = STOPPED;
    this.#stash.clear();
    // Otherwise finishFrame() would need a buffer for bytes that are not delivered.
    this.framer.dropParked();
    this.#wait.end();
    this.invariants();
  }

  /**
   * Releases the framer's buffer. Only after the socket's 'close', when the kernel no longer writes
   * into it.
   */
  close(): void {
    assert(!this.#delivering || this.isOver, 'delivery is stopped before the intake is closed');
    this.stopReading();
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

  /** Takes `count` bytes from `#space`. Returns whether to read on, into the new `#space`. */
  #onRead(count: number): boolean {
    const space = this.#space;
    this.#bytesRead += count;
    this.#reads++;
    if (this.isOver) {
      // A link that closes in good order drops everything until the peer's end.
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
    // The rest of a quiet read lies in memory that the next link's read overwrites.
    this.#stash.keep(this.#quiet.buffer);
    if (goOn) this.#tellEnd();
    const readsOn = goOn && this.#chooseSpace(count, count === space.length);
    this.invariants();
    return readsOn;
  }

  #onChunk(chunk: Uint8Array): boolean {
    this.#bytesRead += chunk.length;
    this.#reads++;
    if (this.isOver) return true;
    // Streams in object mode may deliver empty chunks.
    if (chunk.length === 0) return true;
    this.#stash.push(chunk);
    // Re-entrancy: a stream may deliver while the handler writes. The outer delivery takes these
    // bytes once the handler has finished its frame.
    if (this.#delivering) return true;
    const goOn = this.#advance();
    if (goOn) {
      this.#tryReleaseBuffer(chunk.length);
      this.#tellEnd();
    }
    this.invariants();
    return goOn;
  }

  /** Delivers the frames in the framer, then those in the stash. Returns whether to read on. */
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

  /** Calls the owner to deliver frames. Returns false if that failed. */
  #deliver(): boolean {
    if (this.stopped) return true;
    this.#delivering = true;
    try {
      this.#owner.deliver();
      return true;
    } catch (error) {
      if (!this.failWith(error)) this.#owner.deliveryFailed(error);
      return false;
    } finally {
      this.#delivering = false;
    }
  }

  /** Chooses QUIET or DIRECT after a read, see the class comment. False if the link failed. */
  #chooseSpace(count: number, filled: boolean): boolean {
    if (this.isOver) return true;
    const framer = this.framer;
    const isIdle = framer.keptBytes === 0;
    const isScarce = isIdle ? this.#allowance.isScarce : this.#allowance.isWanted;
    if (isScarce || (!filled && this.#directReadBytes > 0)) {
      if (this.#tryReleaseBuffer(count)) return true;
    } else {
      this.#beginFrameWait();
    }
    try {
      const offset = framer.lend();
      // Without a buffer now, stay QUIET: there may be one when bytes arrive.
      if (offset < 0) return true;
      this.#becomeDirect(offset);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /**
   * Called after a read of `count` bytes that emptied the socket: releases the framer's buffer, now
   * or when packets no longer share it. False if an unfinished frame needs it.
   */
  #tryReleaseBuffer(count: number): boolean {
    const framer = this.framer;
    this.#beginFrameWait();
    if (framer.keptBytes === 0) {
      // Packets may keep the buffer for any time; the permit goes to those that wait.
      if (this.#allowance.isWanted) framer.releaseIdle();
      else this.#lingering.release();
      return true;
    }
    // After a large read the next one is usually large as well, and worth a buffer.
    return count <= SMALL_READ_BYTES_MAX && framer.park();
  }

  /** Starts the deadline of an unfinished frame, if there is one. */
  #beginFrameWait(): void {
    const { pendingBytes } = this.framer;
    if (pendingBytes > 0) this.#frameWait.begin(this.#bytesRead, pendingBytes);
  }

  /** For {@link FrameWait}. */
  frameProgress(): FrameProgress | undefined {
    if (this.isOver) return undefined;
    // While the intake waits for the program or for a buffer, the peer is not late.
    const isHeldUp = this.#paused || this.#state === STARVED || this.#delivering;
    const { pendingBytes, isInParts } = this.framer;
    return { isHeldUp, bytesRead: this.#bytesRead, pendingBytes, isInParts };
  }

  /** For {@link FrameWait}: closes the link of a slow peer. */
  frameLate(detail: string): void {
    this.#owner.intakeFailed(new BusbarError('ERR_BUSBAR_TIMEOUT', detail));
  }

  /** Queues for a buffer. */
  #starve(): void {
    assert(this.#state !== DIRECT, 'an intake with a buffer does not starve');
    assert(this.#state !== STOPPED, 'a stopped intake needs no buffer');
    if (this.#state === STARVED) return;
    assert(!this.#delivering, 'an intake does not starve while it delivers');
    this.#state = STARVED;
    this.#exhaustions++;
    this.#wait.begin();
  }

  /** Gives the awaited buffer to the framer, and continues. */
  #feedInto(bufferId: BufferId): void {
    assert(this.#state === STARVED, 'only a starved intake is fed');
    assert(!this.#delivering, 'nothing is delivered from a microtask');
    if (this.#paused) {
      // It queues anew when it is resumed, which may depend on others that are read from.
      this.#state = QUIET;
      this.#allowance.release(this.#pool, bufferId);
      return;
    }
    this.#state = FED;
    this.framer.providePermit();
    this.framer.provideBuffer(bufferId);
    this.invariants();
    this.#goOn();
  }

  /** The transition to QUIET, once the framer has the bytes; ends a wait for a buffer. */
  #becomeQuiet(): void {
    assert(this.#state !== STOPPED, 'a stopped intake takes nothing');
    assert(this.framer.lentBytes === 0, 'the framer lends nothing to a quiet intake');
    this.#wait.end();
    this.#state = QUIET;
    this.#space = this.#quiet;
  }

  #becomeDirect(offset: number): void {
    assert(
      this.#state === QUIET || this.#state === FED,
      'a direct read is chosen after a quiet one',
    );
    assert(this.#stash.isEmpty, 'stashed bytes come before the next read');
    this.#state = DIRECT;
    this.#space = new Uint8Array(this.#pool.bytes.buffer, offset, this.framer.lentBytes);
  }

  /** Delivers what has arrived, then reads on. */
  #goOn(): void {
    if (!this.#advance()) return;
    // The end needs the buffer that it has waited for.
    if (this.#end !== END_DUE) this.#tryReleaseBuffer(0);
    this.#socket.resume();
    this.#tellEnd();
  }

  /** Fails the link if the framer threw this. False: it is an exception of the program. */
  failWith(error: unknown): boolean {
    if (!this.framer.failedWith(error)) return false;
    this.#fail(error);
    return true;
  }

  /** Fails the link. An exception that the user's codec threw means that the frame is malformed. */
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
    // The owner may want to finish the last frame, which needs its bytes in a buffer.
    if (!this.isOver && !this.framer.unpark()) {
      this.#starve();
      return;
    }
    assert(this.#stash.isEmpty, 'the end comes after all bytes');
    this.#end = END_TOLD;
    if (this.#state === FED) this.#becomeQuiet();
    this.#owner.ended();
    // A half-open link may go on to write for long.
    if (!this.stopped && this.framer.pendingBytes === 0) this.#tryReleaseBuffer(0);
  }

  /** Asserts that the state agrees with the other fields, as it does between any two calls. */
  invariants(): void {
    const state = this.#state;
    assert(this.#wait.isOn === (state === STARVED), 'only a starved intake waits for a buffer');
    const isQuiet = this.#space === this.#quiet;
    if (state === DIRECT) assert(!isQuiet, 'direct reads go into lent space');
    else assert(isQuiet || state === STOPPED, 'other reads go into shared memory');
    assert(state !== STOPPED || this.#stash.isEmpty, 'a stopped intake keeps nothing');
    assert(this.#end !== END_TOLD || this.#stash.isEmpty, 'nothing waits after the end');
  }
}
