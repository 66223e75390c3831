// SPDX-License-Identifier: MIT
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { native } from '../../src/native/index.ts';
import { WRITE_WORDS, writeSocketsCall } from '../../src/native/socket-writes.ts';
import { isShimBuilt } from './built-shim.ts';

const { EAGAIN, EFAULT, EPIPE, ECONNRESET, ENOTSOCK } = constants.errno;

test('the feature says why there is none, or that there is', () => {
  const { available, reason } = native.features.socketWrites;
  expect(available).toBe(isShimBuilt());
  expect(reason === '').toBe(available);
});

interface Pair {
  readonly sender: Socket;
  readonly receiver: Socket;
  readonly fd: number;
}

async function pair(server: Server): Promise<Pair> {
  const accepted = once(server, 'connection');
  const sender = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [receiver] = (await accepted) as [Socket];
  if (sender.connecting) await once(sender, 'connect');
  sender.on('error', () => {});
  const { _handle: handle } = sender as Socket & { _handle?: { readonly fd: number } };
  return { sender, receiver, fd: handle?.fd ?? -1 };
}

async function withPairs(count: number, use: (pairs: readonly Pair[]) => Promise<void>) {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const pairs: Pair[] = [];
  while (pairs.length < count) pairs.push(await pair(server));
  await use(pairs);
  for (const { sender, receiver } of pairs) {
    sender.destroy();
    receiver.destroy();
  }
  server.close();
}

function tableOf(...rows: readonly (readonly [fd: number, offset: number, length: number])[]) {
  return Int32Array.from(rows.flatMap(([fd, offset, length]) => [fd, offset, length, 0]));
}

function resultsOf(table: Int32Array): number[] {
  return Array.from({ length: table.length / WRITE_WORDS }, (_, row) => table[row * 4 + 3]);
}

const write = writeSocketsCall();
if (write !== undefined) {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff);

  test('neighbours of one socket go by one call, others by their own', async () => {
    await withPairs(3, async (pairs) => {
      const [a, b, c] = pairs.map(({ fd }) => fd);
      const table = tableOf([a, 0, 10], [a, 500, 1], [b, 20, 30], [a, 100, 5], [c, 999, 1]);
      expect(write(bytes, table, 5)).toBe(4);
      expect(resultsOf(table)).toEqual([10, 1, 30, 5, 1]);
      const expected = [
        [...bytes.subarray(0, 10), bytes[500], ...bytes.subarray(100, 105)],
        [...bytes.subarray(20, 50)],
        [bytes[999]],
      ];
      for (const [i, { sender, receiver }] of pairs.entries()) {
        sender.end();
        const chunks: Buffer[] = [];
        receiver.on('data', (chunk) => chunks.push(chunk)).resume();
        await once(receiver, 'end');
        expect([...Buffer.concat(chunks)]).toEqual(expected[i]);
      }
    });
  });

  test('more regions of one socket than one call takes go by several, in order', async () => {
    await withPairs(1, async ([{ sender, receiver, fd }]) => {
      const count = 1300;
      const table = tableOf(...Array.from({ length: count }, (_, i) => [fd, i % 1000, 1] as const));
      expect(write(bytes, table, count)).toBe(3);
      sender.end();
      const chunks: Buffer[] = [];
      receiver.on('data', (chunk) => chunks.push(chunk)).resume();
      await once(receiver, 'end');
      const expected = Buffer.from(Array.from({ length: count }, (_, i) => (i % 1000) & 0xff));
      expect(Buffer.concat(chunks)).toEqual(expected);
    });
  });

  test('a full socket takes a part, then nothing, and the others get theirs', async () => {
    await withPairs(2, async ([full, other]) => {
      const much = new Uint8Array(1 << 20);
      let taken = 0;
      let last: number[] = [];
      for (let round = 0; round < 100; round++) {
        const half = 1 << 19;
        const table = tableOf([full.fd, 0, half], [full.fd, half, half], [other.fd, 0, 1]);
        write(much, table, 3);
        last = resultsOf(table);
        taken += last.slice(0, 2).reduce((sum, result) => sum + Math.max(0, result), 0);
        expect(last[2]).toBe(1);
        if (last[0] < half) expect(last[1]).toBe(-EAGAIN);
        if (last[0] === -EAGAIN) break;
      }
      expect(last).toEqual([-EAGAIN, -EAGAIN, 1]);
      let received = 0;
      full.receiver.on('data', (chunk) => {
        received += chunk.length;
      });
      full.sender.end();
      full.receiver.resume();
      await once(full.receiver, 'end');
      expect(received).toBe(taken);
    });
  });

  test('what cannot be written to says why, and the others get theirs', async () => {
    await withPairs(2, async ([gone, other]) => {
      gone.receiver.resetAndDestroy();
      // The reset has arrived when writing fails; a socket that was ended does so for ever.
      let results: number[] = [];
      while (!(results[0] < 0)) {
        const table = tableOf(
          [gone.fd, 0, 10],
          [gone.fd, 10, 10],
          [2 ** 30, 0, 1],
          [other.fd, 0, 1],
        );
        write(bytes, table, 4);
        results = resultsOf(table);
        if (gone.sender.destroyed) break;
        await new Promise(setImmediate);
      }
      if (!gone.sender.destroyed) {
        expect([-EPIPE, -ECONNRESET]).toContain(results[0]);
        expect(results[1]).toBe(results[0]);
      }
      expect(results[2]).toBeLessThan(0);
      expect(results[3]).toBe(1);
      const file = openSync('/dev/null', 'w');
      const table = tableOf([file, 0, 1]);
      write(bytes, table, 1);
      closeSync(file);
      expect(resultsOf(table)).toEqual([-ENOTSOCK]);
    });
  });

  test('a region outside of the bytes stops all before anything is written', async () => {
    await withPairs(1, async ([{ sender, receiver, fd }]) => {
      for (const [offset, length] of [
        [-1, 1],
        [0, 0],
        [0, -1],
        [1000, 1],
        [1, 1000],
        [2 ** 31 - 1, 2 ** 31 - 1],
      ]) {
        expect(write(bytes, tableOf([fd, 0, 1], [fd, offset, length]), 2)).toBe(-EFAULT);
      }
      expect(write(bytes, new Int32Array(0), 0)).toBe(0);
      sender.end();
      receiver.resume();
      await once(receiver, 'end');
      expect(receiver.bytesRead).toBe(0);
    });
  });

  test('what only a mistake of ours could pass to the shim is refused there', () => {
    const odd = write as unknown as (...args: unknown[]) => unknown;
    expect(() => odd()).toThrow(/wrong number of arguments/);
    expect(() => odd(1, new Int32Array(4), 1)).toThrow(/typed array/);
    expect(() => odd(bytes, bytes, 1)).toThrow(/typed array/);
    expect(() => odd(bytes, new Int32Array(7), 2)).toThrow(/longer table/);
    expect(() => odd(bytes, new Int32Array(8), 'two')).toThrow(/longer table/);
  });
}
