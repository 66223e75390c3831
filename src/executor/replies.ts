// SPDX-License-Identifier: MIT
/** Handlers of packets; `replying` makes one from a handler that returns replies. */

import { show } from '../base/check.ts';
import { messageOf } from '../base/errors.ts';
import type { PacketSender } from '../channel/index.ts';
import { Packet } from '../packet/index.ts';
import { failedTag, isReply, isRequest, replyTag } from './requests.ts';

/** Takes a packet over; `from` is the sender's index, or the group's `count` for the host. */
export type PacketHandler = (packet: Packet, from: number) => void | Promise<void>;

/** Takes a packet over and returns the reply: the same packet, or another; undefined: none. */
export type ReplyHandler = (
  packet: Packet,
  from: number,
) => Packet | undefined | Promise<Packet | undefined>;

/** Characters of the message of an error that a request rejects with. */
const MESSAGE_MAX = 200;

function send(packet: Packet, tag: number, lane: PacketSender): void | Promise<void> {
  const release = (error: unknown): never => {
    if (!packet.released) packet.release();
    throw error;
  };
  try {
    packet.tag = tag;
    return lane.trySend(packet) ? undefined : lane.send(packet).catch(release);
  } catch (error) {
    return release(error);
  }
}

/** Tells who has asked. Without a free buffer: by an empty part of `asked`, or later. */
async function tellFailure(
  error: unknown,
  asked: Packet,
  tag: number,
  lane: PacketSender,
): Promise<void> {
  const { pool } = lane;
  // A character takes at most four bytes; a pair of surrogates stays whole.
  const text = messageOf(error)
    .slice(0, Math.min(MESSAGE_MAX, pool.bufferSize >> 2))
    .replace(/[\ud800-\udbff]$/, '');
  const spare = (): Packet | undefined => (asked.released ? undefined : asked.slice(0, 0));
  const packet = Packet.tryFrom(pool, text) ?? spare() ?? (await Packet.from(pool, text));
  await send(packet, failedTag(tag), lane);
}

/** {@link tellFailure}; what it throws: the lane is closed, so the requests have ended. */
function fail(error: unknown, asked: Packet, tag: number, lane: PacketSender): void {
  tellFailure(error, asked, tag, lane).catch(() => {});
}

/** Fails a request to a mailbox that replies to none. **Ownership** takes the packet over. */
export function refuse(asked: Packet, lane: PacketSender): void {
  fail(new TypeError('its mailbox has no respond()'), asked, asked.tag, lane);
  asked.release();
}

/** Sends what `handler` returns back to the sender, to whom `laneTo` is a lane. */
export function replying(
  handler: ReplyHandler,
  laneTo: (index: number) => PacketSender,
): PacketHandler {
  const reply = (packet: Packet | undefined, tag: number, to: number): void | Promise<void> => {
    if (packet instanceof Packet) return send(packet, replyTag(tag), laneTo(to));
    if (packet === undefined && !isRequest(tag)) return undefined;
    throw new TypeError(`the reply to a request must be a Packet, got ${show(packet)}`);
  };
  const failed = (error: unknown, asked: Packet, tag: number, to: number): never => {
    if (isRequest(tag)) fail(error, asked, tag, laneTo(to));
    throw error;
  };
  return (packet, from) => {
    const { tag } = packet;
    if (isReply(tag)) {
      // Two threads that both reply would send it to each other for ever.
      packet.release();
      return undefined;
    }
    try {
      const result = handler(packet, from);
      if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') {
        return reply(result as Packet | undefined, tag, from);
      }
      return Promise.resolve(result)
        .then((late) => reply(late, tag, from))
        .catch((error) => failed(error, packet, tag, from));
    } catch (error) {
      return failed(error, packet, tag, from);
    }
  };
}
