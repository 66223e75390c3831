// SPDX-License-Identifier: MIT
/** Test worker: replies to requests as their first word says. */
import { once } from 'node:events';
import type { ExecutorContext } from 'busbar/executor';
import { Packet } from 'busbar/packet';

export function run({ mailbox, host, pool, data, signal }: ExecutorContext): void {
  const { concurrency, keepsGoing, words } = data as {
    concurrency: number;
    keepsGoing: boolean;
    words: Int32Array;
  };
  const errors: unknown[] = [];
  mailbox.respond(
    (packet, from) => {
      const [deed = '', text = ''] = packet.toString().split(' ');
      switch (deed) {
        case 'mirror':
          packet.bytes[0] = 77;
          return packet;
        case 'another':
          return replyLater(packet, `${text} ${from}`);
        case 'throw':
          packet.release();
          throw new Error('so told');
        case 'reject':
          return Promise.reject(new Error(`x${'ü'.repeat(500)}`));
        case 'undefined':
          packet.release();
          throw undefined;
        case 'smile':
          throw new Error(`x${'\u{1f600}'.repeat(99)}`);
        case 'tell': {
          const told = Packet.tryFrom(pool, 'told') as Packet;
          told.tag = Number(text);
          return host.send(told).then(() => packet);
        }
        case 'nothing':
          packet.release();
          return undefined;
        case 'never':
          return new Promise(() => {});
        case 'wait':
          return signal.aborted ? packet : once(signal, 'abort').then(() => packet);
        case 'exit':
          packet.release();
          return process.exit(3);
        case 'block':
          Atomics.store(words, 0, 1);
          Atomics.notify(words, 0);
          Atomics.wait(words, 1, 0);
          return packet;
        case 'first': {
          const said = Packet.tryFrom(pool, 'said first') as Packet;
          return host.send(said).then(() => packet);
        }
        default:
          return packet;
      }
    },
    keepsGoing ? { concurrency, onError: (error) => errors.push(error) } : { concurrency },
  );

  async function replyLater(packet: Packet, text: string): Promise<Packet> {
    packet.release();
    await new Promise(setImmediate);
    return Packet.from(pool, text);
  }
}
