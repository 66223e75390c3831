// SPDX-License-Identifier: MIT
/**
 * What buses say to each other, as transcripts: each `*.txt` here is commands, `----`, and what was
 * seen. `BUSBAR_REWRITE=1 npx vitest run test/bus/peer/transcripts` writes down what is seen now;
 * read the difference before you commit it.
 *
 *   start I, kill I, close I             a bus begins, ends without a word, says goodbye
 *   gone I EPOCH to J                    J is told that bus I has ended
 *   sub I SUBJECT [QUEUE], unsub I SUBJECT
 *   slow I SUBJECT                       a loop with room for two messages; read I SUBJECT
 *   pub I SUBJECT TEXT, packet I SUBJECT TEXT
 *   fence I                              says when all before it is handled
 *   room F>T N, accept F>T, cut F>T      the lane has room for N regions, for more, has ended
 *   run, step F>T                        delivers all regions, delivers one
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { BusMessage } from '../../../src/bus/bus-message.ts';
import type { BusSubscription } from '../../../src/bus/bus-subscription.ts';
import { Packet } from '../../../src/packet/index.ts';
import { BufferPool } from '../../../src/pool/index.ts';
import { expectAllHome } from '../../pool-expectations.ts';
import { PeerNetwork } from './network.ts';

const FOLDER = new URL('./', import.meta.url);
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));

async function play(script: string): Promise<string> {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64 });
  const network = new PeerNetwork(pool, /^start 2$/m.test(script) ? 3 : 2);
  const stage = new Stage(network);
  const seen: string[] = [];
  for (const block of script.split('\n\n')) {
    const commands = block.split('\n----')[0] as string;
    for (const line of commands.split('\n')) {
      if (line !== '' && !line.startsWith('#')) await stage.play(line.split(' '));
    }
    const lines = stage.seen.splice(0);
    seen.push(`${commands}\n----${lines.map((line) => `\n${line}`).join('')}`);
  }
  network.end();
  await Promise.resolve();
  expectAllHome(pool);
  return `${seen.join('\n\n')}\n`;
}

class Stage {
  readonly seen: string[] = [];
  readonly #network: PeerNetwork;
  readonly #subscriptions: Map<string, BusSubscription> = new Map();
  readonly #loops: Map<string, AsyncIterator<BusMessage>> = new Map();

  constructor(network: PeerNetwork) {
    this.#network = network;
  }

  async play([name, who, ...rest]: string[]): Promise<void> {
    await this.#perform(name as string, who ?? '', rest);
    for (let i = 0; i < 8; i++) await Promise.resolve();
  }

  async #perform(name: string, who: string, rest: string[]): Promise<void> {
    const network = this.#network;
    const index = Number(who);
    const [from, to] = who.split('>').map(Number);
    const [subject = '', text = ''] = rest;
    const key = `${who} ${subject}`;
    switch (name) {
      case 'start':
        network.start(index);
        break;
      case 'kill':
        network.kill(index);
        break;
      case 'close':
        network.bus(index).close();
        break;
      case 'gone':
        network.member(Number(rest[2])).gone(index, Number(rest[0]));
        break;
      case 'sub': {
        const options = text === '' ? {} : { queue: text };
        const subscription = network.bus(index).subscribe(subject, options, (message) => {
          const { source, sequence } = message;
          this.seen.push(`${key} got #${sequence} of ${source}: ${message.text()}`);
        });
        this.#subscriptions.set(key, subscription);
        break;
      }
      case 'slow': {
        const loop = network.bus(index).subscribe(subject, { limit: { messages: 2 } });
        this.#loops.set(key, loop[Symbol.asyncIterator]());
        break;
      }
      case 'read': {
        const { value } = await (this.#loops.get(key) as AsyncIterator<BusMessage>).next();
        this.seen.push(`${key} read #${value.sequence}: ${value.text()}`);
        break;
      }
      case 'unsub':
        this.#subscriptions.get(key)?.close();
        break;
      case 'pub':
        if (!network.bus(index).tryPublish(subject, text)) this.seen.push(`${key}: not now`);
        break;
      case 'packet': {
        const packet = Packet.tryFrom(network.pool, text) as Packet;
        if (!network.bus(index).tryPublish(subject, packet)) packet.release();
        break;
      }
      case 'fence':
        void network
          .bus(index)
          .flush()
          .then(() => this.seen.push(`${who} fence passed`));
        break;
      case 'room':
        network.room.set(who, Number(subject));
        break;
      case 'accept':
        network.room.delete(who);
        break;
      case 'cut':
        network.cut.add(who);
        break;
      case 'step':
        this.#look(from as number, to as number);
        network.deliver(from as number, to as number);
        break;
      case 'run':
        network.settle((from, to) => this.#look(from, to));
        break;
      default:
        throw new Error(`there is no command ${name}`);
    }
  }

  #look(from: number, to: number): void {
    const [region] = this.#network.lane(from, to);
    const text = region === undefined ? 'nothing' : this.#network.describe(region);
    this.seen.push(`${from}>${to} ${text}`);
  }
}

test('there are transcripts', () => {
  expect(FILES.length).toBeGreaterThan(8);
});

test('what came for a bus that has died is counted as lost by its successor', async () => {
  const pool = BufferPool.create({ bufferSize: 1024, bufferCount: 64 });
  const network = new PeerNetwork(pool, 2);
  const bus = network.start(0);
  network.start(1).subscribe('a', () => {});
  network.settle();
  for (let i = 0; i < 3; i++) bus.tryPublish('a', 'x');
  bus.tryPublish('a', Packet.tryFrom(pool, 'x') as Packet);
  network.flush();
  network.kill(1);
  const successor = network.start(1);
  network.settle();
  expect(successor.stats().lost).toBe(4);
  expect(bus.stats().lost).toBe(0);
  network.end();
  expectAllHome(pool);
});

test.each(FILES)('%s', async (name) => {
  const path = new URL(name, FOLDER);
  const script = readFileSync(path, 'utf8');
  const seen = await play(script.trimEnd());
  if (process.env.BUSBAR_REWRITE === '1') writeFileSync(path, seen);
  else expect(seen).toBe(script);
});
