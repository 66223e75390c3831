// SPDX-License-Identifier: MIT
/** Parses `{ "name": …, "value": … }`; any other line ends the thread. */
import type { ExecutorContext } from 'busbar/executor';
import { Packet } from 'busbar/packet';

export function run({ mailbox, host, pool }: ExecutorContext): void {
  const head = Buffer.alloc(8);
  mailbox.handle(async (line) => {
    const { name, value } = JSON.parse(`${line}`) as { name: string; value: number };
    line.release();
    head.writeDoubleBE(value);
    await host.send(await Packet.from(pool, Buffer.concat([head, Buffer.from(name)])));
  });
}
