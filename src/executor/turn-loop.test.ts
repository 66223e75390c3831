// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { turn, until } from '../../test/turns.ts';
import { PacketChannel } from '../channel/index.ts';
import { Packet } from '../packet/index.ts';
import { BufferPool } from '../pool/index.ts';
import { RUNNING } from './executor-layout.ts';
import { Gauges } from './gauges.ts';
import type { Idle } from './idle.ts';
import { sliceAfter, TurnLoop } from './turn-loop.ts';

const text = new TextEncoder();

/** A loop on this thread, with lanes from this thread. */
function create(lanes: number, { idle = 'park' as Idle, capacity = 256 } = {}) {
  const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1024, maxThreads: 2 });
  const channels = Array.from({ length: lanes }, () =>
    PacketChannel.create(pool, { kind: 'spsc', capacity }),
  );
  const senders = channels.map((channel) => channel.sender());
  const gauges = new Gauges(Gauges.createBlock(1), 0, 0);
  gauges.become(RUNNING);
  const receivers = channels.map((channel) => channel.receiver());
  const loop = new TurnLoop(pool, receivers, gauges, idle, () => false);
  const send = (lane: number, what: string): void => {
    const packet = Packet.tryFrom(pool, text.encode(what)) as Packet;
    expect(senders[lane]?.trySend(packet)).toBe(true);
  };
  const close = (): void => {
    for (const channel of channels) channel.close();
  };
  return { pool, loop, mailbox: loop.mailbox, gauges, send, close };
}

test('a lane that is always full does not keep the others waiting', async () => {
  const { mailbox, send } = create(3);
  const order: number[] = [];
  for (let i = 0; i < 150; i++) send(0, 'many');
  send(1, 'one');
  send(2, 'one');
  mailbox.handle((packet, from) => {
    order.push(from);
    packet.release();
    // Keeps its own lane full.
    if (from === 0 && order.length < 400) send(0, 'more');
  });
  await until(() => order.length >= 402);
  expect(order.indexOf(1)).toBeLessThanOrEqual(130);
  expect(order.indexOf(2)).toBeLessThanOrEqual(130);
});

// In shared-nothing tick() does not run under load.
test('polls have their turn while the mailbox never is empty', async () => {
  const { mailbox, loop, send } = create(1);
  let handled = 0;
  let polled = 0;
  for (let i = 0; i < 150; i++) send(0, 'many');
  mailbox.handle((packet) => {
    handled++;
    packet.release();
    if (handled < 5000) send(0, 'more');
  });
  loop.poll(() => {
    polled++;
    return 0;
  });
  await until(() => handled >= 5000);
  expect(polled).toBeGreaterThanOrEqual(5000 / 64);
});

test('a poll goes on while it does something, rests with the loop, ends when told', async () => {
  const { loop, gauges } = create(1);
  let work = 10;
  let calls = 0;
  const end = loop.poll(() => {
    calls++;
    return work > 0 ? work-- : 0;
  });
  await until(() => gauges.read().state === 'parked');
  expect(calls).toBe(11);
  loop.wake();
  await until(() => calls === 12);
  end();
  end();
  loop.wake();
  await turn();
  await turn();
  expect(calls).toBe(12);
});

test('the event loop turns while there is always something to do', async () => {
  const { loop, gauges } = create(1, { idle: 'spin' });
  loop.poll(() => 1);
  for (let i = 0; i < 20; i++) await turn();
  expect(gauges.read().turns).toBeGreaterThan(20);
  loop.stop();
});

test('an arrival wakes a parked loop, and a poll that looks for it', async () => {
  const { pool, loop, mailbox, gauges, send } = create(2);
  let found = 0;
  loop.poll(() => {
    const packet = mailbox.tryReceive();
    packet?.release();
    if (packet === undefined) return 0;
    return ++found;
  });
  for (let i = 1; i <= 5; i++) {
    await until(() => gauges.read().state === 'parked');
    send(i % 2, 'wake up');
    await until(() => found === i);
    expect(mailbox.from).toBe(i % 2);
  }
  expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
});

test('packets that nobody takes do not keep the loop awake', async () => {
  const { gauges, loop, send } = create(1);
  send(0, 'nobody wants me');
  loop.wake();
  await until(() => gauges.read().state === 'parked');
  const { turns } = gauges.read();
  for (let i = 0; i < 20; i++) await turn();
  expect(gauges.read().turns).toBe(turns);
});

test('a handler that throws is not called again for that packet; the loop goes on', async () => {
  const { pool, mailbox, send } = create(1);
  const seen: string[] = [];
  const errors: unknown[] = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => errors.push(error));
  for (const what of ['a', 'b', 'c']) send(0, what);
  mailbox.handle((packet) => {
    seen.push(packet.toString());
    packet.release();
    if (seen.length === 2) throw new Error('no b, please');
  });
  await until(() => seen.length === 3);
  process.removeAllListeners('uncaughtException');
  for (const listener of before) process.on('uncaughtException', listener);
  expect(seen).toEqual(['a', 'b', 'c']);
  expect(errors).toEqual([new Error('no b, please')]);
  expect(pool.who()).toMatchObject({ held: 0, inTransit: 0 });
});

test('a mailbox is read by a handler or by asking, not both', async () => {
  const { mailbox } = create(1);
  mailbox.handle((packet) => packet.release());
  const role = expect.objectContaining({ code: 'ERR_BUSBAR_CHANNEL_ROLE' });
  expect(() => mailbox.tryReceive()).toThrow(role);
  await expect(mailbox.receive()).rejects.toEqual(role);
  const { mailbox: other } = create(1);
  expect(other.tryReceive()).toBeUndefined();
  expect(() => other.handle(() => {})).toThrow(role);
  expect(() => other.handle('no' as never)).toThrow(TypeError);
});

test('whoever waits gets what comes, in order, or nothing when nothing can come', async () => {
  const { mailbox, send, close } = create(2);
  const waits = [mailbox.receive(), mailbox.receive()];
  await turn();
  send(0, 'first');
  const first = await waits[0];
  expect([first?.toString(), mailbox.from]).toEqual(['first', 0]);
  send(1, 'second');
  const second = await waits[1];
  expect([second?.toString(), mailbox.from]).toEqual(['second', 1]);
  first?.release();
  second?.release();
  send(1, 'third');
  const last = mailbox.receive();
  close();
  const third = await last;
  expect(third?.toString()).toBe('third');
  third?.release();
  expect(await mailbox.receive()).toBeUndefined();
  for await (const _ of mailbox) expect.unreachable();
});

test('a wait ends by its timeout or its signal, and swallows nothing', async () => {
  const { mailbox, send } = create(1);
  await expect(mailbox.receive({ timeoutMs: 1 })).rejects.toMatchObject({
    code: 'ERR_BUSBAR_TIMEOUT',
  });
  const aborter = new AbortController();
  const wait = mailbox.receive({ signal: aborter.signal });
  aborter.abort('enough');
  await expect(wait).rejects.toBe('enough');
  await expect(mailbox.receive({ signal: aborter.signal })).rejects.toBe('enough');
  await expect(mailbox.receive({ timeout: 1 } as never)).rejects.toThrow(TypeError);
  send(0, 'still there');
  const packet = await mailbox.receive();
  expect(packet?.toString()).toBe('still there');
  packet?.release();
});

test('a reader that always finds something lets the event loop turn', async () => {
  const { mailbox, send } = create(1);
  for (let i = 0; i < 250; i++) send(0, 'many');
  let turns = 0;
  let reading = true;
  const count = (): void => {
    turns++;
    if (reading) setImmediate(count);
  };
  setImmediate(count);
  for (let i = 0; i < 250; i++) (await mailbox.receive())?.release();
  reading = false;
  expect(turns).toBeGreaterThanOrEqual(3);
});

test('nothing is handed out during a pause', async () => {
  const { loop, mailbox, gauges, send } = create(1);
  let handled = 0;
  mailbox.handle((packet) => {
    handled++;
    packet.release();
  });
  loop.pause();
  loop.pause();
  send(0, 'later');
  for (let i = 0; i < 10; i++) await turn();
  expect([handled, gauges.read().state]).toEqual([0, 'paused']);
  loop.resume();
  loop.resume();
  await until(() => handled === 1);
});

test('slow packets are taken fewer at a time, and the event loop is not kept waiting', async () => {
  const { mailbox, send } = create(1);
  let handled = 0;
  const batches = new Set<number>();
  for (let i = 0; i < 200; i++) send(0, 'slow');
  mailbox.handle((packet) => {
    const endMs = performance.now() + 0.5;
    while (performance.now() < endMs);
    handled++;
    batches.add(mailbox.batch);
    packet.release();
  });
  await until(() => handled === 200);
  expect(batches).toContain(1);
});

test('a slice lasts a part of what else the event loop does, within limits', () => {
  // Parked or paused: what it waited for is no work.
  expect(sliceAfter(Number.NEGATIVE_INFINITY)).toBe(0.1);
  expect([0, 0.2, 4, 20].map(sliceAfter)).toEqual([0.1, 0.1, 1, 5]);
  expect(sliceAfter(60_000)).toBe(8);
});
