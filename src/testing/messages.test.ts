// SPDX-License-Identifier: MIT
/** Messages between the threads of a scenario, and threads that threads begin. */

import { receiveMessageOnPort } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { expectPassed, explore, type Scenario, type ThreadPort } from './index.ts';

interface Ends {
  readonly words: Int32Array;
  readonly a: ThreadPort;
  readonly b: ThreadPort;
}

/** As the model has it: a port has what both kinds of programs use. */
const pair = (): { port1: ThreadPort; port2: ThreadPort } =>
  new MessageChannel() as unknown as { port1: ThreadPort; port2: ThreadPort };

const channel = (): Ends => {
  const { port1, port2 } = pair();
  return { words: new Int32Array(new SharedArrayBuffer(16)), a: port1, b: port2 };
};

function next(port: ThreadPort): Promise<unknown> {
  return new Promise((resolve) => port.once('message', resolve));
}

test('messages arrive in order, and what their sender wrote before is known', async () => {
  const scenario: Scenario<Ends> = {
    name: 'two messages',
    setup: channel,
    threads: {
      a: ({ words, a }) => {
        words[0] = 1;
        a.postMessage('first');
        words[1] = 2;
        a.postMessage({ second: [2] });
      },
      b: async ({ words, b }) => {
        const first = await next(b);
        const seen = words[0];
        const second = await next(b);
        return [first, seen, second, words[1]];
      },
    },
    check: (_, { results }) => {
      expect(results.b).toEqual(['first', 1, { second: [2] }, 2]);
    },
  };
  const report = await explore(scenario);
  expectPassed(report);
  expect(report.complete).toBe(true);
});

test('a race that a message does not order is found', async () => {
  const report = await explore<Ends>({
    name: 'written after it was posted',
    setup: channel,
    threads: {
      a: ({ words, a }) => {
        a.postMessage('look');
        words[0] = 1;
      },
      b: async ({ words, b }) => {
        await next(b);
        return words[0];
      },
    },
  });
  expect(report.failure?.kind).toBe('data race');
});

test('a program that counts on an order of two senders is found wrong', async () => {
  const report = await explore<Ends & { c: ThreadPort; d: ThreadPort }>({
    name: 'who comes first',
    setup: () => {
      const more = pair();
      return { ...channel(), c: more.port1, d: more.port2 };
    },
    threads: {
      a: ({ a }) => a.postMessage('a'),
      c: ({ c }) => c.postMessage('c'),
      both: ({ b, d }) => {
        const seen: unknown[] = [];
        return new Promise((resolve) => {
          const take = (message: unknown): void => {
            if (seen.push(message) === 2) resolve(seen.join());
          };
          b.on('message', take);
          d.on('message', take);
        });
      },
    },
    check: (_, { results }) => {
      if (results.both !== 'a,c') throw new Error(`came as ${results.both}`);
    },
  });
  expect(report.failure?.message).toBe('Error: came as c,a');
});

test('a blocked thread takes what was posted, in its own time', async () => {
  const scenario: Scenario<Ends> = {
    name: 'receiveMessageOnPort',
    setup: channel,
    threads: {
      a: ({ words, a }) => {
        a.postMessage(7);
        Atomics.store(words, 0, 1);
        Atomics.notify(words, 0);
      },
      b: ({ words, b }) => {
        Atomics.wait(words, 0, 0);
        return receiveMessageOnPort(b as never)?.message;
      },
    },
    check: (_, { results }) => {
      expect(results.b).toBe(7);
    },
  };
  expectPassed(await explore(scenario));
});

test('a message that never comes is a deadlock', async () => {
  const { failure } = await explore<Ends>({
    name: 'nobody posts',
    setup: channel,
    threads: { a: ({ words }) => Atomics.add(words, 0, 1), b: ({ b }) => next(b) },
  });
  expect(failure?.kind).toBe('deadlock');
});

test('a thread begins another, shares memory with it, and hears from it', async () => {
  const scenario: Scenario<Int32Array> = {
    name: 'parent and child',
    setup: () => new Int32Array(new SharedArrayBuffer(8)),
    threads: {
      parent: (words, self) => {
        words[0] = 5;
        const child = self.spawn('child', { words, by: 2 });
        return new Promise((resolve) => {
          child.on('message', resolve);
          child.postMessage('go');
        });
      },
    },
    spawned: {
      child: (_, self) => {
        const { words, by } = self.workerData as { words: Int32Array; by: number };
        self.parentPort?.once('message', (message) => {
          self.parentPort?.postMessage(`${message}: ${(words[0] ?? 0) * by}`);
        });
      },
    },
    check: (_, { results }) => {
      expect(results.parent).toBe('go: 10');
    },
  };
  const report = await explore(scenario);
  expectPassed(report);
  expect(report.complete).toBe(true);
});

test('ports go over to another thread with what was posted before', async () => {
  const scenario: Scenario<Int32Array> = {
    name: 'a port is handed over',
    setup: () => new Int32Array(new SharedArrayBuffer(8)),
    threads: {
      parent: async (_, self) => {
        const child = self.spawn('child');
        const { port1, port2 } = pair();
        port1.postMessage('early');
        child.postMessage({ port: port2 }, [port2]);
        port1.postMessage('late');
        return next(port1);
      },
    },
    spawned: {
      child: (_, self) => {
        self.parentPort?.on('message', (message) => {
          const { port } = message as { port: ThreadPort };
          const heard: unknown[] = [];
          port.on('message', (one) => {
            if (heard.push(one) === 2) port.postMessage(heard.join());
          });
        });
      },
    },
    check: (_, { results }) => {
      expect(results.parent).toBe('early,late');
    },
  };
  expectPassed(await explore(scenario));
});

test('a child may die, and one that nobody begins is not there', async () => {
  const scenario: Scenario<Int32Array> = {
    name: 'a child dies',
    setup: () => new Int32Array(new SharedArrayBuffer(8)),
    threads: { parent: (_, self) => void self.spawn('child') },
    spawned: {
      child: (words) => Atomics.add(words, 0, 1),
      other: (words) => Atomics.add(words, 0, 100),
    },
    supervisor: (words) => Atomics.store(words, 1, 1),
    killable: ['child'],
    check: (words, { killed, results }) => {
      expect(words[0]).toBeLessThan(2);
      expect(Object.keys(results)).not.toContain('other');
      expect(words[1]).toBe(killed.length);
    },
  };
  const report = await explore(scenario, { kills: 1 });
  expectPassed(report);
  expect(report.kills).toBeGreaterThan(0);
});

test('outside of a scenario, channels are what they were', () => {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(1);
  expect(receiveMessageOnPort(port2 as never)?.message).toBe(1);
  port1.close();
});
