// SPDX-License-Identifier: MIT
/** `TcpReader`: base class of `TcpLink`, with its socket and receiving. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { BusbarError } from '../../base/errors.ts';
import type { FrameReader } from '../../framer/index.ts';
import type { BufferPool } from '../../pool/index.ts';
import type { Inbox } from '../inbox.ts';
import { OPEN } from '../link-life.ts';
import { ReadableLink } from '../readable-link.ts';
import type { ResolvedSharedOptions } from '../shared-options.ts';
import { FrameSequence, type IncomingFrame } from './incoming-frame.ts';
import type { Intake } from './intake.ts';
import type { IntakeOwner } from './intake-owner.ts';
import type { IngestMode } from './read-target.ts';
import type { OpenStream } from './tcp-open.ts';

/** The receiving half of a link, and its socket. `TcpLink` adds sending and closing. */
export abstract class TcpReader extends ReadableLink {
  /** Finds the frames, and describes the one that the handler was given. */
  readonly framer: FrameReader;
  /** Usually a `net.Socket`. Use its addresses and `setTimeout`; do not read, write or end it. */
  readonly socket: Duplex;
  /** How received bytes reach the pool. */
  readonly ingest: IngestMode;
  /** @internal */
  protected readonly intake: Intake;
  #sequence: FrameSequence | undefined;

  /** @internal */
  protected constructor(
    pool: BufferPool,
    options: ResolvedSharedOptions & { readonly allowHalfOpen: boolean },
    { socket, intake, ingest }: OpenStream,
  ) {
    super(pool, options, options.allowHalfOpen);
    this.framer = intake.framer;
    this.socket = socket;
    this.ingest = ingest;
    this.intake = intake;
  }

  get paused(): boolean {
    return this.intake.paused;
  }

  /** @internal */
  protected override holdReading(isHeld: boolean): void {
    if (!isHeld) this.intake.resume();
    else if (!this.life.isGone) this.intake.pause();
  }

  /**
   * All frames, until the link ends, each as a sequence of packets, of any length in all. With the
   * usual `maxFrameBytes` too. Throws the link's `error` if it failed.
   */
  frames(): AsyncIterableIterator<IncomingFrame, void, undefined> {
    this.#sequence ??= new FrameSequence(this.openInbox());
    this.beginsRead();
    return this.#sequence.frames(() => this.leavesLoop());
  }

  ref(): void {
    if (this.socket instanceof Socket) this.socket.ref();
  }

  unref(): void {
    if (this.socket instanceof Socket) this.socket.unref();
  }

  /** @internal */
  protected override get isInParts(): boolean {
    return this.framer.maxFrameBytes > this.pool.bufferSize;
  }

  /** @internal Delivers frames from now on. */
  protected beginReading(deliver: () => void): void {
    const { inbox } = this;
    const owner: IntakeOwner = {
      deliver: this.pool.leaks?.receivedBy(this.name, deliver) ?? deliver,
      ended: () => (inbox === undefined ? this.#onEnd() : this.#endForInbox(inbox)),
      intakeFailed: (error) => this.act(this.life.failed(error)),
      deliveryFailed: (error) => this.handlerFailed(error),
    };
    this.intake.open(owner, this.socket, this.ingest === 'copy');
  }

  /** @internal Calls the handler: the peer sends no more. */
  protected abstract notifyEnd(): void;

  /** @internal */
  protected override stopReading(): void {
    const { inbox } = this;
    // What stands behind a full inbox has arrived, too.
    if (inbox?.keepsRest === true) this.notify(() => this.intake.deliverRest());
    this.intake.stopReading();
    inbox?.close();
    // Bytes that arrive before the peer's end are dropped.
    if (!this.life.isGone) this.socket.resume();
  }

  /** @internal */
  protected override endTaken(): void {
    if (this.intake.hasEnded) this.#onEnd();
  }

  #endForInbox(inbox: Inbox): void {
    this.#noteTruncation();
    if (this.life.state === OPEN) inbox.pushEnd();
    else this.#onEnd();
  }

  #noteTruncation(): void {
    const { pendingBytes, stopped } = this.intake;
    if (pendingBytes === 0 || stopped) return;
    this.life.note(new BusbarError('ERR_BUSBAR_LINK_TRUNCATED', `${pendingBytes} bytes arrived`));
  }

  #onEnd(): void {
    if (this.life.isGone) return;
    this.notify(() => {
      try {
        this.notifyEnd();
      } catch (error) {
        if (!this.intake.failWith(error)) throw error;
      }
    });
    if (this.life.isGone) return;
    this.#noteTruncation();
    this.act(this.life.peerEnded());
  }
}
