// SPDX-License-Identifier: MIT
import { readdirSync, readFileSync } from 'node:fs';
import { native, topology } from 'busbar/native';
import { afterEach, expect, test } from 'vitest';
import { isShimBuilt } from './built-shim.ts';
import { NativeHand } from './native-hand.ts';

const hands: NativeHand[] = [];

function hire(name?: string): NativeHand {
  const hand = new NativeHand(name);
  hands.push(hand);
  return hand;
}

afterEach(async () => {
  await Promise.all(hands.splice(0).map((hand) => hand.terminate()));
});

/** The kernel's own word on a thread of this process. */
function readTask(thread: number, file: string): string {
  return readFileSync(`/proc/self/task/${thread}/${file}`, 'utf8').trim();
}

function allowedList(thread: number): string | undefined {
  return /^Cpus_allowed_list:\s*(\S+)$/m.exec(readTask(thread, 'status'))?.[1];
}

if (isShimBuilt()) {
  test('everything is offered', () => {
    const offered = { available: true, reason: '' };
    expect(native.features).toEqual({
      affinity: offered,
      topology: offered,
      threadName: offered,
      reusePort: offered,
      socketWrites: offered,
      udp: { ...offered, gso: offered, gro: offered },
    });
  });

  test('a worker pins itself and nobody else, and the kernel says so', async () => {
    const cpus = topology().allowed.map(({ cpu }) => cpu);
    const before = allowedList(process.pid);
    for (const cpu of cpus) {
      const [pinned, other] = [hire(), hire()];
      const [thread, otherThread] = [
        await pinned.ask<number>('threadId'),
        await other.ask<number>('threadId'),
      ];
      expect(thread).not.toBe(otherThread);
      await pinned.ask('setAffinity', [cpu]);
      expect(allowedList(thread)).toBe(String(cpu));
      expect(await pinned.ask('getAffinity')).toEqual([cpu]);
      expect(await pinned.ask('topology')).toMatchObject({ allowed: [{ cpu }], usableCount: 1 });
      expect(allowedList(otherThread)).toBe(before);
    }
    expect(allowedList(process.pid)).toBe(before);
  });

  test('a worker that was pinned may be set free again', async () => {
    const cpus = topology().allowed.map(({ cpu }) => cpu);
    const hand = hire();
    const thread = await hand.ask<number>('threadId');
    const before = allowedList(thread);
    await hand.ask('setAffinity', cpus.slice(0, 1));
    await hand.ask('setAffinity', cpus);
    expect(await hand.ask('getAffinity')).toEqual(cpus);
    expect(allowedList(thread)).toBe(before);
  });

  test('a cpu that is not there is refused, and nothing changes', async () => {
    const hand = hire();
    const thread = await hand.ask<number>('threadId');
    const before = allowedList(thread);
    const absent = 99_999;
    for (const cpus of [[absent], [topology().allowed[0]?.cpu, absent]]) {
      const error = await hand.ask('setAffinity', cpus).catch((caught) => caught);
      expect(error).toMatchObject({ message: expect.stringMatching(/setAffinity.*EINVAL/) });
      expect(allowedList(thread)).toBe(before);
    }
  });

  test('a thread has the name it gave itself, cut to what the kernel takes', async () => {
    const hand = hire();
    const thread = await hand.ask<number>('threadId');
    const names = [
      ['executor 3', 'executor 3'],
      ['exactly fifteen', 'exactly fifteen'],
      ['more than fifteen bytes', 'more than fifte'],
      ['ärger mit ö und €', 'ärger mit ö u'],
      ['fourteen bytes€', 'fourteen bytes'],
      ['', ''],
    ] as const;
    for (const [name, expected] of names) {
      await hand.ask('setThreadName', name);
      expect(readTask(thread, 'comm')).toBe(expected.trim());
    }
    expect(readTask(process.pid, 'comm')).not.toContain('fourteen');
  });

  test('many workers load the shim at once, and are ended while they use it', async () => {
    const counts = Array.from({ length: 12 }, () => new SharedArrayBuffer(4));
    for (let round = 0; round < 3; round++) {
      const spinning = counts.map((count) => {
        new Int32Array(count)[0] = 0;
        const hand = hire();
        hand.tell('spin', count);
        return hand;
      });
      for (const count of counts) {
        while (Atomics.load(new Int32Array(count), 0) < 100) {
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      const codes = await Promise.all(spinning.map((hand) => hand.terminate()));
      expect(codes).toEqual(counts.map(() => 1));
    }
    const last = hire();
    expect(await last.ask('getAffinity')).toEqual(topology().allowed.map(({ cpu }) => cpu));
    expect(readdirSync('/proc/self/task')).toContain(String(await last.ask('threadId')));
  });
} else {
  test('without the shim every call in a worker says why there is none', async () => {
    const hand = hire();
    const features = await hand.ask<typeof native.features>('features');
    for (const name of ['affinity', 'threadName', 'reusePort'] as const) {
      expect(features[name].available).toBe(false);
      expect(features[name].reason).not.toBe('');
    }
    const calls = [
      ['setAffinity', [0]],
      ['getAffinity'],
      ['threadId'],
      ['setThreadName', 'nobody'],
      ['listenReusePort', { host: '127.0.0.1', port: 0 }],
    ] as const;
    for (const [call, ...args] of calls) {
      const error = await hand.ask(call, ...args).catch((caught) => caught);
      expect(error).toMatchObject({ message: expect.stringContaining(features.affinity.reason) });
    }
    expect((await hand.ask<{ usableCount: number }>('topology')).usableCount).toBeGreaterThan(0);
  });
}
