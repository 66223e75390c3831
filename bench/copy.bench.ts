// SPDX-License-Identifier: MIT
/** Costs of moving bytes within a pool, into it and out of it, and of searching it. */

import { DelimiterCodec, Framer } from 'busbar/framer';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import type { BenchCase, PreparedCase } from './bench-case.ts';

const UNIT = 1000;
const SOURCES = 64;
/** Between two places: all alignments come up. */
const STRIDE = 13;
const SPAN = 4096;
const TARGET = 65_536;
const LINE_BYTES = 1024;
const LINES = 63;

export const copyCases: readonly BenchCase[] = [
  ...[16, 60, 1024, 4096].flatMap((bytes) => [within(bytes, 'auto'), within(bytes, 'plain')]),
  ...[16, 60, 200, 1024].flatMap((bytes) => [
    into(`copy/in-${bytes}B-same`, bytes, 1),
    into(`copy/in-${bytes}B`, bytes, SOURCES),
  ]),
  out(60),
  out(1024),
  textOut(60),
  textOut(1024),
  lines('auto'),
  lines('plain'),
];

function createPool(memory: 'auto' | 'plain' = 'auto'): BufferPool {
  return BufferPool.create({ bufferSize: TARGET, bufferCount: 4, memory });
}

function suffix(memory: 'auto' | 'plain'): string {
  return memory === 'plain' ? '-plain' : '';
}

function within(bytes: number, memory: 'auto' | 'plain'): BenchCase {
  return {
    id: `copy/within-${bytes}B${suffix(memory)}`,
    what: `pool.copy of ${bytes} B, source and target of any alignment`,
    unit: UNIT,
    threads: 1,
    prepare() {
      const pool = createPool(memory);
      return {
        run(ops) {
          let from = 3;
          let to = TARGET;
          for (let i = 0; i < ops; i++) {
            pool.copy(to, from, bytes);
            from = (from + 7) & (SPAN - 1);
            to = TARGET + ((to + STRIDE) & (SPAN - 1));
          }
          return pool.bytes[TARGET] + ops;
        },
        close: () => pool.detach(),
      };
    },
  };
}

function into(id: string, bytes: number, sources: number): BenchCase {
  return {
    id,
    what: `${bytes} B of private memory into the pool, ${sources} sources in turn`,
    unit: UNIT,
    threads: 1,
    prepare() {
      const pool = createPool();
      const { arena } = pool;
      const all = Array.from({ length: sources }, (_, i) => new Uint8Array(bytes).fill(i + 1));
      return {
        run(ops) {
          let to = TARGET;
          for (let i = 0; i < ops; i++) {
            arena.write(to, all[i & (sources - 1)], 0, bytes);
            to = TARGET + ((to + STRIDE) & (SPAN - 1));
          }
          return pool.bytes[TARGET] + ops;
        },
        close: () => pool.detach(),
      };
    },
  };
}

function out(bytes: number): BenchCase {
  return packetCase(`copy/out-${bytes}B`, 'packet.copyTo private memory', bytes, (packet) => {
    const target = new Uint8Array(bytes);
    return () => packet.copyTo(target);
  });
}

function textOut(bytes: number): BenchCase {
  return packetCase(`copy/text-${bytes}B`, 'packet.toString, ASCII', bytes, (packet) => {
    return () => `${packet}`.length;
  });
}

function packetCase(
  id: string,
  what: string,
  bytes: number,
  make: (packet: Packet) => () => number,
): BenchCase {
  return {
    id,
    what: `${what}, ${bytes} B`,
    unit: UNIT,
    threads: 1,
    prepare() {
      const pool = createPool();
      const whole = Packet.tryFrom(pool, new Uint8Array(bytes + 3).fill(0x61)) as Packet;
      const packet = whole.slice(3);
      const act = make(packet);
      return {
        run(ops) {
          let sum = 0;
          for (let i = 0; i < ops; i++) sum += act();
          return sum;
        },
        close() {
          packet.release();
          whole.release();
          pool.detach();
        },
      };
    },
  };
}

/** The bytes stay in the buffer: each time it is full, the framer is told that they came again. */
function lines(memory: 'auto' | 'plain'): BenchCase {
  return {
    id: `copy/find-lines-1KiB${suffix(memory)}`,
    what: 'framer.next by DelimiterCodec, lines of 1 KiB',
    unit: LINES,
    threads: 1,
    prepare(): PreparedCase {
      const pool = createPool(memory);
      const framer = new Framer(pool, new DelimiterCodec('\n'));
      for (let at = LINE_BYTES - 1; at < pool.bytes.length; at += LINE_BYTES) {
        pool.bytes[at] = 0x0a;
      }
      return {
        run(ops) {
          let sum = 0;
          for (let done = 0; done < ops; done += LINES) {
            framer.lend();
            framer.report(LINES * LINE_BYTES);
            while (framer.next()) sum = (sum + framer.frameLength) | 0;
          }
          if (sum !== (Math.imul(ops, LINE_BYTES - 1) | 0)) throw new Error('a line was lost');
          return sum;
        },
        close() {
          framer.close();
          pool.detach();
        },
      };
    },
  };
}
