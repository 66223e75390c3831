// SPDX-License-Identifier: MIT
/** An executor that turns the letters of each packet into capitals, in place. */

import type { ExecutorContext } from 'busbar/executor';

export function run({ mailbox, pool }: ExecutorContext): void {
  const { bytes } = pool;
  mailbox.respond((packet) => {
    const end = packet.offset + packet.length;
    for (let at = packet.offset; at < end; at++) {
      if (bytes[at] >= 97 && bytes[at] <= 122) bytes[at] -= 32;
    }
    return packet;
  });
}
