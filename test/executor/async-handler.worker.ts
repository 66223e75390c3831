// SPDX-License-Identifier: MIT
/** Handles packets asynchronously, and tells the host how many were under way. */
import type { ExecutorContext } from 'busbar/executor';
import { Packet } from 'busbar/packet';

export function run({ pool, mailbox, host, data }: ExecutorContext): void {
  let running = 0;
  mailbox.handle(
    async (packet) => {
      const text = packet.toString();
      packet.release();
      running++;
      const seen = running;
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (text === 'throw') throw new Error('bad');
      running--;
      await host.send(Packet.tryFrom(pool, `${text} ${seen}`) as Packet);
    },
    data as { concurrency: number },
  );
}
