// SPDX-License-Identifier: MIT
/** Errors of channels say which one. */

import { expect, test } from 'vitest';
import { expectAllHome } from '../../test/pool-expectations.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { type ChannelKind, PacketChannel } from './index.ts';

async function textOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

async function textsOf(kind: ChannelKind, name: string | undefined): Promise<string[]> {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 2 });
  const packet = Packet.tryFrom(pool, 'hello') as Packet;
  const options = { kind, capacity: 1, ...(name === undefined ? {} : { name }) };
  const channel = PacketChannel.create(pool, options);
  const [sender, receiver] = [channel.sender(), channel.receiver()];
  const texts = [
    await textOf(() => receiver.receive({ timeoutMs: 1 })),
    await textOf(() => receiver.receiveSync(1)),
  ];
  expect(sender.trySend(packet.clone())).toBe(true);
  texts.push(await textOf(() => sender.send(packet, { timeoutMs: 1 })));
  texts.push(await textOf(() => sender.sendSync(packet, 1)));
  if (kind === 'spsc') texts.push(await textOf(() => channel.sender()));
  const waiting = textOf(() => sender.send(packet));
  sender.close();
  texts.push(await waiting);
  texts.push(await textOf(() => sender.trySend(packet)));
  channel.destroy();
  receiver.close();
  packet.release();
  expectAllHome(pool);
  return texts;
}

const TIMEOUT = 'the wait took longer than its timeout: ';

test.each(['spsc', 'mpmc'] as const)('%s: the name of a channel is in its errors', async (kind) => {
  const role = 'this side is taken already: kind \'spsc\' allows one sender; channel "jobs"';
  const texts = await textsOf(kind, 'jobs');
  expect(texts).toEqual([
    `${TIMEOUT}receive, 1 ms; channel "jobs"`,
    `${TIMEOUT}receiveSync, 1 ms; channel "jobs"`,
    `${TIMEOUT}send, 1 ms; channel "jobs"`,
    `${TIMEOUT}sendSync, 1 ms; channel "jobs"`,
    ...(kind === 'spsc' ? [role] : []),
    'the channel was closed: this sender was closed; channel "jobs"',
    'the channel was closed: channel "jobs"',
  ]);
  const nameless = await textsOf(kind, undefined);
  expect(nameless).toEqual(texts.map((text) => text.replace(/[;:] channel "jobs"$/, '')));
});
