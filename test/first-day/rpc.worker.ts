// SPDX-License-Identifier: MIT
/** Turns letters into capitals; the four bytes before them say whose they are. */
import type { ExecutorContext } from 'busbar/executor';

export function run({ mailbox, host }: ExecutorContext): void {
  mailbox.handle(async (packet) => {
    const { bytes } = packet;
    for (let i = 4; i < bytes.length; i++) {
      const byte = bytes[i] as number;
      if (byte >= 97 && byte <= 122) bytes[i] = byte - 32;
    }
    await host.send(packet);
  });
}
