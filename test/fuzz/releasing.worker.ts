// SPDX-License-Identifier: MIT
/** Fuzz tool: an executor that replies to requests, and releases every other packet. */
import type { ExecutorContext } from 'busbar/executor';

export function run({ mailbox }: ExecutorContext): void {
  mailbox.respond((packet) => {
    if (packet.tag < 0) return packet;
    packet.release();
    return undefined;
  });
}
