// SPDX-License-Identifier: MIT
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { arbitrarySeed, Random } from '../../base/random.ts';
import {
  OUT_ADDRESS,
  OUT_LENGTH,
  OUT_OFFSET,
  OUT_SEGMENT,
  OUT_WORDS,
  SENT_CALLS,
  SENT_CLEARED,
  SENT_ERROR,
  SENT_RUN,
} from '../../native/udp.ts';
import { BufferPool } from '../../pool/index.ts';
import { CUT_EQUAL, CUT_MESSAGES, CUT_PACKED, CUT_WHOLE, type Cut } from './region-queue.ts';
import { UdpAddress } from './udp-address.ts';
import { CONNECTED } from './udp-address-table.ts';
import { UdpOutbox } from './udp-outbox.ts';
import type { UdpSocket } from './udp-socket.ts';

const { EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINVAL, EMSGSIZE, ENETUNREACH } = constants.errno;
const DATAGRAM_BYTES = 100;

/** A socket that takes as much as it likes, and refuses what is marked by its first byte. */
class FakeSocket {
  readonly implementation = 'native';
  readonly local: Int32Array = UdpAddress.of('127.0.0.1', 1).words;
  readonly segmentsMax = 64;
  readonly pendingCount = 0;
  readonly out: string[] = [];
  /** EMSGSIZE, told of datagrams that begin with 255. */
  refused = 0;
  readonly #pool: BufferPool;
  readonly #random: Random;

  constructor(pool: BufferPool, random: Random) {
    this.#pool = pool;
    this.#random = random;
  }

  send(
    table: Int32Array,
    count: number,
    addresses: Int32Array,
    segments: number,
    sent: Int32Array,
  ): number {
    const { bytes } = this.#pool;
    sent.fill(0);
    sent[SENT_CALLS] = 1;
    sent[SENT_RUN] = 1;
    const most = this.#random.below(count + 1);
    for (let i = 0; i < count; i++) {
      const offset = table[i * OUT_WORDS + OUT_OFFSET];
      const length = table[i * OUT_WORDS + OUT_LENGTH];
      const row = table[i * OUT_WORDS + OUT_ADDRESS];
      if (i === most) return this.#stop(sent, segments > 0, count - i, i);
      if (length > 0 && bytes[offset] === 255 && table[i * OUT_WORDS + OUT_SEGMENT] === 0) {
        sent[SENT_ERROR] = EMSGSIZE;
        this.refused++;
        return i;
      }
      const to = row < 0 ? 'peer' : UdpAddress.from(addresses, row * 8).toString();
      const piece = table[i * OUT_WORDS + OUT_SEGMENT] || Math.max(length, 1);
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < Math.max(length, 1); at += piece) {
        pieces.push(bytes.slice(offset + at, offset + Math.min(at + piece, length)));
      }
      if (pieces.length > 1 && pieces.some(([first]) => first === 255)) {
        sent[SENT_ERROR] = EMSGSIZE;
        return i;
      }
      for (const one of pieces) this.out.push(`${to} ${one}`);
    }
    return count;
  }

  #stop(sent: Int32Array, segmented: boolean, left: number, done: number): number {
    const why = this.#random.below(4);
    if (why === 0) sent[SENT_ERROR] = EAGAIN;
    else if (why === 1 && done > 0) sent[SENT_CLEARED] = 1;
    else if (why === 2 && segmented && left > 1) {
      sent[SENT_ERROR] = EINVAL;
      sent[SENT_RUN] = 2 + this.#random.below(left - 1);
    } else sent[SENT_ERROR] = EAGAIN;
    return done;
  }
}

/** One region as the writers make them, and the datagrams that should come of it. */
function makeRegion(random: Random, cut: Cut): { bytes: number[]; datagrams: number[][] } {
  const bytes: number[] = [];
  const datagrams: number[][] = [];
  const payload = (): number[] =>
    Array.from({ length: random.below(60) }, () => random.below(random.below(20) === 0 ? 256 : 9));
  if (cut === CUT_WHOLE || cut === CUT_EQUAL) {
    for (let i = random.below(6); i >= 0; i--) bytes.push(...payload());
    if (cut === CUT_WHOLE) return { bytes, datagrams: [bytes] };
    for (let at = 0; at < bytes.length; at += DATAGRAM_BYTES) {
      datagrams.push(bytes.slice(at, at + DATAGRAM_BYTES));
    }
    return { bytes, datagrams };
  }
  let packed: number[] = [];
  for (let i = random.below(30); i >= 0; i--) {
    const message = payload();
    const prefixed = [0, message.length, ...message];
    bytes.push(...prefixed);
    if (cut === CUT_MESSAGES) datagrams.push(message);
    else if (packed.length > 0 && packed.length + prefixed.length > DATAGRAM_BYTES) {
      datagrams.push(packed);
      packed = prefixed;
    } else packed.push(...prefixed);
  }
  if (cut === CUT_PACKED) datagrams.push(packed);
  return { bytes, datagrams };
}

test('whatever the socket takes at a time, every datagram goes out once and in order', () => {
  const seed = Number(process.env.BUSBAR_TEST_SEED ?? arbitrarySeed());
  const random = new Random(seed);
  const replay = `replay with BUSBAR_TEST_SEED=${seed}`;
  for (let round = 0; round < 60; round++) {
    const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 64, maxThreads: 1 });
    const socket = new FakeSocket(pool, random);
    const outbox = new UdpOutbox(pool, CUT_MESSAGES, DATAGRAM_BYTES);
    const errors: number[] = [];
    outbox.open(
      {
        sendFailed: (errno, count) => {
          expect(count, replay).toBe(1);
          errors.push(errno);
        },
        sentSome() {},
        watch() {},
        sendMalformed: () => expect.unreachable(replay),
      },
      socket as unknown as UdpSocket,
      true,
    );
    const addresses = [1, 2, 3].map((port) => UdpAddress.of('10.0.0.1', port));
    const rows = outbox.addresses;
    const fixed = rows.add(addresses[0].words, 0);
    const expected: string[] = [];
    let refused = 0;
    for (let i = 0; i < 40; i++) {
      const cut = random.below(4) as Cut;
      const { bytes, datagrams } = makeRegion(random, cut);
      const which = random.below(4);
      let row = which === 0 ? -1 : fixed;
      if (which > 1) row = rows.add(addresses[which - 1].words, 0);
      const to = which === 0 ? 'peer' : addresses[Math.max(0, which - 1)].toString();
      for (const datagram of datagrams) {
        if (datagram[0] === 255) refused++;
        else if (cut !== CUT_EQUAL || datagram.length > 0) expected.push(`${to} ${datagram}`);
      }
      const id = pool.tryAcquire();
      const offset = pool.offsetOf(id);
      if (cut === CUT_WHOLE || bytes.length > 0) {
        pool.bytes.set(bytes, offset);
        outbox.push(offset, bytes.length, id, row, cut);
      } else pool.release(id);
      if (which > 1) rows.releaseRow(row);
      if (random.below(3) === 0) outbox.send();
      if (random.below(3) === 0) outbox.unblock();
    }
    for (let i = 0; outbox.queuedBytes > 0 && i < 100_000; i++) {
      outbox.unblock();
      outbox.send();
    }
    expect(outbox.queuedBytes, replay).toBe(0);
    expect(rows.heldCount, replay).toBe(1);
    rows.releaseRow(fixed);
    expect(rows.heldCount, replay).toBe(0);
    expect(socket.out, replay).toEqual(expected);
    expect(errors.filter((errno) => errno === EMSGSIZE).length, replay).toBe(refused);
    expect(outbox.stats(), replay).toMatchObject({
      datagramsWritten: expected.length,
      lostDatagrams: refused,
    });
    expect(pool.stats().held, replay).toBe(0);
    expect(new Set(errors.filter((errno) => errno !== EMSGSIZE))).toEqual(
      new Set(errors.includes(ECONNREFUSED) ? [ECONNREFUSED] : []),
    );
    pool.close();
  }
});

test.each([
  ['no way to one address: told once, lost, the others go out', [0, 1], [1], 1],
  ['an error about an earlier datagram: told once, nothing is lost', [0], [1], 0],
])('%s', (_name, failingCalls, expected, lost) => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4, maxThreads: 1 });
  const told: number[] = [];
  const out: number[] = [];
  let calls = 0;
  const outbox = new UdpOutbox(pool, CUT_WHOLE, DATAGRAM_BYTES);
  const socket = {
    segmentsMax: 64,
    send(table: Int32Array, count: number, _to: unknown, _segments: number, sent: Int32Array) {
      sent.fill(0);
      sent[SENT_RUN] = 1;
      if (failingCalls.includes(calls++)) {
        sent[SENT_ERROR] = ENETUNREACH;
        return 0;
      }
      for (let i = 0; i < count; i++) out.push(table[i * OUT_WORDS + OUT_LENGTH]);
      return count;
    },
  };
  outbox.open(
    {
      sendFailed: (error, count) => {
        expect(error).toBe(ENETUNREACH);
        told.push(count);
      },
      sentSome() {},
      watch() {},
      sendMalformed: () => expect.unreachable(),
    },
    socket as unknown as UdpSocket,
    true,
  );
  for (const length of [7, 8]) {
    const id = pool.tryAcquire();
    outbox.push(pool.offsetOf(id), length, id, -1, CUT_WHOLE);
  }
  outbox.send();
  expect(told).toEqual(expected);
  expect(out).toEqual(lost === 0 ? [7, 8] : [8]);
  expect(outbox.stats().lostDatagrams).toBe(lost);
  pool.close();
});

test('bytes that are no messages are cut off and told, what is before them goes out', () => {
  const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4, maxThreads: 1 });
  for (const cut of [CUT_MESSAGES, CUT_PACKED] as const) {
    for (const bad of [[0], [0, 2, 1], [255, 255]]) {
      const out: number[] = [];
      const told: number[] = [];
      const outbox = new UdpOutbox(pool, CUT_MESSAGES, DATAGRAM_BYTES);
      const socket = {
        segmentsMax: 64,
        send(table: Int32Array, count: number, _to: unknown, _segments: number, sent: Int32Array) {
          sent.fill(0);
          for (let i = 0; i < count; i++) out.push(table[i * OUT_WORDS + OUT_LENGTH]);
          return count;
        },
      };
      outbox.open(
        {
          sendFailed: () => expect.unreachable(),
          sentSome() {},
          watch() {},
          sendMalformed: (bytes) => void told.push(bytes),
        },
        socket as unknown as UdpSocket,
        true,
      );
      for (const before of [[], [0, 3, 1, 1, 1]]) {
        const id = pool.tryAcquire();
        const bytes = [...before, ...bad];
        pool.bytes.set(bytes, pool.offsetOf(id));
        outbox.push(pool.offsetOf(id), bytes.length, id, -1, cut);
      }
      outbox.send();
      expect(out).toEqual([cut === CUT_PACKED ? 5 : 3]);
      expect(told).toEqual([2 * bad.length]);
      expect(outbox.stats()).toMatchObject({ queuedBytes: 0, lostBytes: 2 * bad.length });
      expect(pool.stats().held).toBe(0);
    }
  }
  pool.close();
});

test('a handler that sends by another link does not mix up what the system said of each', () => {
  const pool = BufferPool.create({ bufferSize: 256, bufferCount: 4 });
  const failures: string[] = [];
  const open = (name: string, answers: number[][], onFailed: () => void): UdpOutbox => {
    const outbox = new UdpOutbox(pool, CUT_WHOLE, 0);
    const socket = {
      segmentsMax: 0,
      send(_table: Int32Array, rows: number, _words: Int32Array, _cut: number, sent: Int32Array) {
        const [done, error] = answers.shift() ?? [rows, 0];
        sent.fill(0);
        sent[SENT_CALLS] = 1;
        sent[SENT_ERROR] = error;
        sent[SENT_RUN] = error === 0 ? 0 : 1;
        return done;
      },
    } as unknown as UdpSocket;
    const owner = {
      sendFailed(error: number) {
        failures.push(`${name} ${error}`);
        onFailed();
      },
      sentSome() {},
      watch() {},
      sendMalformed() {},
    };
    outbox.open(owner as never, socket, false);
    const id = pool.tryAcquire();
    outbox.push(pool.offsetOf(id), 10, id, CONNECTED, CUT_WHOLE);
    return outbox;
  };
  const other = open('other', [[0, EMSGSIZE]], () => {});
  // An error of an earlier datagram is told when the one that got it has gone.
  const first = open('first', [[0, EHOSTUNREACH]], () => other.send());
  first.send();
  expect(failures).toEqual([`first ${EHOSTUNREACH}`, `other ${EMSGSIZE}`]);
  expect(first.stats()).toMatchObject({ datagramsWritten: 1, queuedBytes: 0, lostDatagrams: 0 });
  expect(pool.stats().held).toBe(0);
});

test.each([
  ['whole', CUT_WHOLE, [0, 3, 1, 1, 1, 0, 1, 1], 1, 8],
  ['messages', CUT_MESSAGES, [0, 3, 1, 1, 1, 0, 1, 1], 2, 4],
  ['messages and a rest', CUT_MESSAGES, [0, 3, 1, 1, 1, 9], 1, 4],
  ['no messages', CUT_PACKED, [0, 3, 1], 0, 3],
  ['packed', CUT_PACKED, [0, 3, 1, 1, 1, 0, 1, 1], 1, 8],
  ['equal', CUT_EQUAL, new Array(250).fill(1), 3, 250],
] as const)(
  'close counts what it drops, and what comes later: %s',
  (_name, cut, bytes, n, lost) => {
    const pool = BufferPool.create({ bufferSize: 4096, bufferCount: 4, maxThreads: 1 });
    const outbox = new UdpOutbox(pool, cut, DATAGRAM_BYTES);
    const rows = outbox.addresses;
    const row = rows.add(UdpAddress.of('10.0.0.1', 1).words, 0);
    for (const times of [1, 2, 3]) {
      const id = pool.tryAcquire();
      pool.bytes.set(bytes, pool.offsetOf(id));
      outbox.push(pool.offsetOf(id), bytes.length, id, row);
      outbox.close();
      const counted = { lostDatagrams: times * n, lostBytes: times * lost, queuedBytes: 0 };
      expect(outbox.stats()).toMatchObject(counted);
    }
    expect([pool.stats().held, rows.heldCount]).toEqual([0, 1]);
    pool.close();
  },
);
