// SPDX-License-Identifier: MIT
/** `IncomingFrame`: one frame as a sequence of packets, for programs that await. */

import { checkMade } from '../../base/check.ts';
import { describeAs } from '../../base/description.ts';
import { BusbarError } from '../../base/errors.ts';
import { Runs } from '../../base/runs.ts';
import type { WaitOptions } from '../../base/wait-guard.ts';
import type { Framer } from '../../framer/index.ts';
import { Packet } from '../../packet/index.ts';
import { PACKET_KEY } from '../../packet/packet.ts';
import type { Inbox } from '../inbox.ts';

/** A part of a frame, as it waits in an inbox. */
class FramePart extends Packet {
  /** Bytes of the frame's payload after it; −1: unknown. */
  readonly rest: number;

  constructor({ pool, frameBufferId, frameOffset, frameLength, frameRest }: Framer) {
    super(pool, frameBufferId, frameOffset, frameLength, 0, PACKET_KEY);
    // As Packet.sharing does.
    pool.retain(frameBufferId);
    this.rest = frameRest;
  }
}

function restAfter(packet: Packet): number {
  return packet instanceof FramePart ? packet.rest : 0;
}

/**
 * One frame of a link, of any length: an async iterable of the packets that its payload consists
 * of. Read it before you ask for the next frame; what was not read then is dropped.
 *
 * **Ownership** each packet is the program's, which releases it. A packet that is kept holds a
 * buffer of the pool: a program that keeps all of a frame needs that many.
 */
export class IncomingFrame implements AsyncIterable<Packet> {
  /** Bytes of payload; undefined: unknown until its delimiter has come. */
  readonly length: number | undefined;
  readonly #inbox: Inbox;
  #isOver = false;
  #received = 0;

  /** @internal */
  constructor(inbox: Inbox, first: Packet) {
    checkMade(first !== undefined, new.target, 'link.frames()');
    const rest = restAfter(first);
    this.length = rest < 0 ? undefined : first.length + rest;
    this.#inbox = inbox;
  }

  /** @internal Whether all of it was taken. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * The next packet of this frame; undefined after the last.
   *
   * **Throws** (rejects) the link's `error`, or ERR_BUSBAR_LINK_TRUNCATED, if the link ended within
   * the frame; ERR_BUSBAR_TIMEOUT, `signal.reason`.
   */
  async receive(options?: WaitOptions): Promise<Packet | undefined> {
    if (this.#isOver) return undefined;
    const packet = await this.#inbox.receive(options);
    if (packet === undefined) {
      const what = `${this.#received} bytes of the frame were read`;
      throw new BusbarError('ERR_BUSBAR_LINK_TRUNCATED', what);
    }
    this.#isOver = restAfter(packet) === 0;
    // The last packet may be empty: the delimiter came alone.
    const isEnd = this.#isOver && packet.length === 0 && this.#received > 0;
    this.#received += packet.length;
    if (!isEnd) return packet;
    packet.release();
    return undefined;
  }

  /** All packets of this frame. **Throws** as {@link receive}. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Packet, void, undefined> {
    for (;;) {
      const packet = await this.receive();
      if (packet === undefined) return;
      yield packet;
    }
  }
}

describeAs(IncomingFrame, 'IncomingFrame', ({ length, isOver }) => ({ length, isOver }));

/** Reads frame by frame what comes into an inbox. */
export class FrameSequence {
  readonly #inbox: Inbox;
  #current: IncomingFrame | undefined;

  constructor(inbox: Inbox) {
    this.#inbox = inbox;
  }

  frames(onReturn: () => void): Runs<IncomingFrame> {
    return new Runs(
      () => (this.#current?.isOver === false ? undefined : this.#begin(this.#inbox.take())),
      async () => {
        if (this.#current !== undefined) for await (const packet of this.#current) packet.release();
        return this.#begin(await this.#inbox.receive());
      },
      onReturn,
    );
  }

  #begin(first: Packet | undefined): IncomingFrame | undefined {
    if (first === undefined) return undefined;
    this.#current = new IncomingFrame(this.#inbox, first);
    // In the inbox it is released even if the program never reads this frame.
    this.#inbox.putBack(first);
    return this.#current;
  }
}

/** Returns an intake's `deliver` that puts each frame, or part of one, into an inbox. */
export function packetDeliverer(
  intake: { readonly framer: Framer; readonly stopped: boolean },
  inbox: Inbox,
  inParts: boolean,
): () => void {
  const { framer } = intake;
  return () => {
    while (!intake.stopped && framer.next()) {
      inbox.push(inParts ? new FramePart(framer) : framer.takePacket());
    }
  };
}
