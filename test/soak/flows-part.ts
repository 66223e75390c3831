// SPDX-License-Identifier: MIT
/**
 * Soak: publishers and subscribers of the broker, built on busbar's links, that stay. Each
 * publisher keeps a window of messages in flight; its own subscriber and one that listens to all
 * receive each.
 */

import { BufferPool } from 'busbar/pool';
import { DemoClient } from '../../broker/demo/demo-client.ts';
import { lengthOf, MessageMemory } from './message.ts';
import type { Part, PartOptions } from './part.ts';
import { touchPages } from './reading.ts';
import { Sequence, Tally } from './tally.ts';
import { Window } from './window.ts';

const POOL = { bufferSize: 131_072, bufferCount: 256 };
const STREAMS = 4;
const WINDOW_MESSAGES = 1024;
const LINE_END = 0x0d0a;
const LINE_END_BYTES = 2;
const HOST = '127.0.0.1';

export async function makeFlows({ ports }: PartOptions): Promise<Part> {
  const [port] = ports;
  const pool = BufferPool.create(POOL);
  touchPages(pool);
  const memory = new MessageMemory(pool.bytes);
  const own = new Tally('broker flow');
  const all = new Tally('broker wildcard');
  const clients: DemoClient[] = [];
  const windows: Window[] = [];
  const subscribe = async (
    subject: string,
    onMessage: (offset: number, length: number) => void,
  ): Promise<void> => {
    const client = await DemoClient.connect(pool, port, HOST, {}, onMessage);
    clients.push(client);
    client.subscribe(subject, 1);
    await client.ping();
  };
  return {
    ports: [],
    pool,
    tallies: [own, all],
    async go() {
      const sequences = Array.from({ length: STREAMS }, (_, i) => new Sequence(all, memory, i));
      await subscribe('soak.flow.*', (offset, length) => {
        const stream = memory.streamAt(offset);
        if (stream >= STREAMS) {
          all.complain(`a message of stream ${stream}`);
          return;
        }
        sequences[stream].take(offset, length);
        windows[stream].confirm();
      });
      for (let stream = 0; stream < STREAMS; stream++) {
        const publisher = await DemoClient.connect(pool, port, HOST, {}, () => {});
        clients.push(publisher);
        const window = publishing(publisher, memory, stream);
        const sequence = new Sequence(own, memory, stream);
        await subscribe(subjectOf(stream), (offset, length) => {
          sequence.take(offset, length);
          window.confirm();
        });
        windows.push(window);
      }
      for (const window of windows) window.start();
    },
    async stop() {
      await Promise.all(windows.map((window) => window.finish()));
      const missing = own.messages - all.messages;
      if (missing !== 0) all.complain(`${missing} messages fewer than the others have got`);
      for (const client of clients) {
        if (client.error !== undefined) own.complain(client.error);
        await client.link.close();
      }
    },
    async close() {},
  };
}

function subjectOf(stream: number): string {
  return `soak.flow.${stream}`;
}

/** Writes messages with their protocol lines where they leave from. */
function publishing(client: DemoClient, memory: MessageMemory, stream: number): Window {
  const { writer } = client.link;
  const heads = new Map<number, Buffer>();
  return new Window(WINDOW_MESSAGES, 2, (number, nowMs) => {
    const length = lengthOf(number);
    let head = heads.get(length);
    if (head === undefined) {
      head = Buffer.from(`PUB ${subjectOf(stream)} ${length}\r\n`);
      heads.set(length, head);
    }
    const bytes = head.length + length + LINE_END_BYTES;
    const at = writer.tryReserve(bytes);
    if (at < 0) return false;
    head.copy(memory.bytes, at);
    memory.write(at + head.length, stream, number, nowMs);
    memory.view.setUint16(at + head.length + length, LINE_END);
    writer.commit(at, bytes);
    return true;
  });
}
