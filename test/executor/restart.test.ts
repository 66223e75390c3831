// SPDX-License-Identifier: MIT
/** Restarts that fail, or meet a stop: where each packet went, and that the group ends. */
import type { Packet } from 'busbar/packet';
import { expect, test } from 'vitest';
import { turn, until } from '../turns.ts';
import { company, createPool, ExecutorGroup, expectAllBack, packetOf, tell } from './company.ts';
import * as deeds from './deeds.ts';

const CRASHED = 'ERR_BUSBAR_EXECUTOR_CRASHED';

test('a thread that cannot be made again is a crash, and the group ends', async () => {
  const pool = createPool();
  const { options } = company(pool);
  let copies = 0;
  const words = new SharedArrayBuffer(4 * deeds.WORDS);
  const data = {
    get words(): SharedArrayBuffer {
      if (++copies > 2) throw new Error('no more copies');
      return words;
    },
  };
  const group = await ExecutorGroup.start({ ...options, data, restart: {} });
  const closed = expect(group.closed).rejects.toMatchObject({
    code: CRASHED,
    cause: { message: 'no more copies' },
  });
  for (const deed of ['throw', 'drop', 'drop']) tell(group, pool, 1, deed);
  await until(() => copies > 2);
  // The group need not wait for a thread that is not there.
  const report = await group.stop({ deadlineMs: 1e9 });
  await closed;
  expect(report).toMatchObject({ dropped: 2, terminated: [] });
  expect(group.stats().map(({ state }) => state)).toEqual(['ended', 'ended']);
  expectAllBack(pool);
});

test.each(['drain', 'now'] as const)(
  'what is sent while a restart is delayed is dropped by a stop (%s), and counted',
  async (mode) => {
    const pool = createPool();
    const { options } = company(pool);
    const group = await ExecutorGroup.start({
      ...options,
      laneCapacity: 4,
      restart: { delayMs: 1e9 },
    });
    const closed = expect(group.closed).rejects.toMatchObject({ code: CRASHED });
    tell(group, pool, 0, 'throw');
    await until(() => group.stats()[0]?.lastCrash !== undefined);
    let sent = 0;
    for (; ; sent++) {
      const packet = packetOf(pool, 'drop');
      if (group.trySendTo(0, packet)) continue;
      packet.release();
      break;
    }
    expect(sent).toBeGreaterThan(0);
    const packets = [1, 2, 3].map(() => packetOf(pool, 'drop'));
    const refused = packets.map((packet) => refusal(group.sendTo(0, packet), packet));
    const request = packetOf(pool, 'drop');
    refused.push(refusal(group.requestTo(0, request), request));
    await turn();
    const report = await group.stop({ mode });
    expect(report).toMatchObject({ dropped: sent, leaked: 0, terminated: [] });
    expect(await Promise.all(refused)).toEqual([1, 2, 3, 4].map(() => 'ERR_BUSBAR_CHANNEL_CLOSED'));
    await closed;
    expectAllBack(pool);
  },
);

/** Why the packet came back. */
async function refusal(sending: Promise<unknown>, packet: Packet): Promise<string> {
  try {
    await sending;
    return 'sent';
  } catch (error) {
    packet.release();
    return (error as { code: string }).code;
  }
}

test.each(['drain', 'now'] as const)(
  'a stop (%s) while a successor starts accounts for every packet',
  async (mode) => {
    const pool = createPool();
    const source = `
      export async function run({ restarts, mailbox }) {
        if (restarts > 0) await new Promise(() => {});
        mailbox.handle((packet) => {
          const text = packet.toString();
          packet.release();
          if (text === 'die') process.exit(1);
        });
      }`;
    const module = `data:text/javascript,${encodeURIComponent(source)}`;
    const group = await ExecutorGroup.start({ pool, module, count: 2, restart: {} });
    const closed = group.closed.catch(() => {});
    tell(group, pool, 0, 'die');
    await until(() => group.stats()[0]?.restarts === 1);
    for (let i = 0; i < 10; i++) tell(group, pool, 0, 'drop');
    const { dropped, leaked } = await group.stop({ mode, deadlineMs: 50 });
    expect({ dropped, leaked }).toEqual({ dropped: 10, leaked: 0 });
    await closed;
    expectAllBack(pool);
  },
);

test('two that crash at once, again and again, lose nothing that was still queued', async () => {
  const pool = createPool();
  const { options, words } = company(pool);
  let shown = 0;
  const group = await ExecutorGroup.start({
    ...options,
    restart: { maxRestarts: 100 },
    onCrash: (_index, _crash, inHand) => {
      shown += inHand.length;
    },
  });
  const rounds = 5;
  for (let round = 0; round < rounds; round++) {
    for (const index of [0, 1])
      for (const deed of ['throw', 'drop']) tell(group, pool, index, deed);
  }
  await until(() => words[deeds.STARTS] === 2 + 2 * rounds && words[deeds.SEEN] === 4 * rounds);
  expect(await group.stop()).toMatchObject({ dropped: 0, terminated: [] });
  await group.closed;
  expect(shown).toBe(2 * rounds);
  expectAllBack(pool);
});
