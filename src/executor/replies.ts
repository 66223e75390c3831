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

/** Sends what `handler` returns back to the sender, to whom `laneTo` is a lane. */
export function replying(
  handler: ReplyHandler,
  laneTo: (index: number) => PacketSender,
): PacketHandler {
  const send = (packet: Packet, tag: number, to: number): void | Promise<void> => {
    const release = (error: unknown): never => {
      if (!packet.released) packet.release();
      throw error;
    };
    try {
      packet.tag = tag;
      const lane = laneTo(to);
      return lane.trySend(packet) ? undefined : lane.send(packet).catch(release);
    } catch (error) {
      return release(error);
    }
  };
  const reply = (packet: Packet | undefined, tag: number, to: number): void | Promise<void> => {
    if (packet instanceof Packet) return send(packet, replyTag(tag), to);
    if (packet === undefined && !isRequest(tag)) return undefined;
    throw new TypeError(`the reply to a request must be a Packet, got ${show(packet)}`);
  };
  /** Tells who has asked. Without a free buffer: by an empty part of `asked`, or later. */
  const fail = async (error: unknown, asked: Packet, tag: number, to: number): Promise<void> => {
    const { pool } = laneTo(to);
    // A character takes at most four bytes; a pair of surrogates stays whole.
    const text = messageOf(error)
      .slice(0, Math.min(MESSAGE_MAX, pool.bufferSize >> 2))
      .replace(/[\ud800-\udbff]$/, '');
    const spare = (): Packet | undefined => (asked.released ? undefined : asked.slice(0, 0));
    const packet = Packet.tryFrom(pool, text) ?? spare() ?? (await Packet.from(pool, text));
    await send(packet, failedTag(tag), to);
  };
  const failed = (error: unknown, asked: Packet, tag: number, to: number): never => {
    // What it throws: the lane is closed, so the requests have ended.
    if (isRequest(tag)) fail(error, asked, tag, to).catch(() => {});
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
