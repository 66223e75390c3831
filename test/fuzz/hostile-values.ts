// SPDX-License-Identifier: MIT
/** Fuzz tool: wrong values, and for which types each of them is wrong. */
import { UdpAddress } from 'busbar/link';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';
import { WriteFlusher } from 'busbar/writer';
import type { Random } from '../../src/base/random.ts';

/** What the getters throw; the library passes it on. */
export const FROM_GETTER: Error = new Error('a getter of the caller throws');

const throwing: unknown = new Proxy(
  {},
  {
    get() {
      throw FROM_GETTER;
    },
    has() {
      throw FROM_GETTER;
    },
    ownKeys() {
      throw FROM_GETTER;
    },
    getPrototypeOf() {
      throw FROM_GETTER;
    },
  },
);

const elsewhere = BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 2 });
const gone = BufferPool.attach(elsewhere.handle);
gone.detach();
const foreign = packetOf(elsewhere);
const released = packetOf(elsewhere);
released.release();
const transferred = new Uint8Array(8);
structuredClone(transferred, { transfer: [transferred.buffer] });

function packetOf(pool: BufferPool): Packet {
  const packet = Packet.tryFrom(pool, new Uint8Array(5));
  if (packet === undefined) throw new Error('the pool is too small');
  return packet;
}

const NUMBERS: readonly number[] = [
  ...[NaN, -1, -0, 1.5, 1e-9, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 53, 2 ** 60],
  ...[-(2 ** 31), -(2 ** 53), Infinity, -Infinity, 63, 64, 65, 100, 767, 768, 4096],
];

const OTHERS: readonly unknown[] = [
  ...[undefined, undefined, null, null, '', 'x', '7', 'constructor', 10n, true, false],
  ...[Symbol('s'), {}, [], [1, 2], [-1], [null], () => {}, new Date(0), Object.create(null)],
  ...[throwing, { valueOf: () => 0 }, { toString: null, valueOf: null }, { length: 2 ** 31 }],
  ...[new Uint8Array(0), new Uint8Array(3), new Uint8Array(100), new Uint8Array(4096)],
  ...[new Int32Array(0), new Int32Array(2), new Int32Array(8).fill(-1), new Float64Array(4)],
  ...[new SharedArrayBuffer(8), new ArrayBuffer(8), new DataView(new ArrayBuffer(8)), transferred],
  ...[AbortSignal.abort(), new AbortController().signal, foreign, released, elsewhere, gone],
  ...[{ kind: 'busbar/pool' }, { unknown: 1 }, { timeoutMs: -1 }, { signal: 1 }, { buffer: 1e9 }],
];

const shrunk = resizable(16, 16);
const outside = new Uint8Array(shrunk, 8, 8);
(shrunk as unknown as { resize?(bytes: number): void }).resize?.(4);
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();

function resizable(bytes: number, maxByteLength: number): ArrayBuffer {
  return Reflect.construct(ArrayBuffer, [bytes, { maxByteLength }]);
}

class Imitation extends Array {
  static override get [Symbol.species](): never {
    throw FROM_GETTER;
  }
  override [Symbol.iterator](): never {
    throw FROM_GETTER;
  }
}

/** Objects that pretend to be something. */
const PRETENDERS: readonly unknown[] = [
  ...[revoked, outside, new Imitation(3), Imitation.of(1, 2)],
  new Uint8Array(resizable(8, 64)),
  ...[new Proxy([], {}), new Proxy([1, 2], {}), new Proxy({}, {}), new Proxy(() => {}, {})],
  ...[new Proxy(new Uint8Array(3), {}), new Proxy(new Int32Array(8), {})],
  ...[Object.create(Uint8Array.prototype), Object.create(Int32Array.prototype)],
  ...[Object.create(SharedArrayBuffer.prototype), Object.create(AbortSignal.prototype)],
  ...[{ [Symbol.toPrimitive]: () => 1 }, { valueOf: () => 3, toString: () => '3' }],
  {
    [Symbol.toPrimitive]() {
      throw FROM_GETTER;
    },
  },
  ...['0', '1', '1.5', '0x1', ' 1 ', '-0', 0n, 1n, -1n, 2n ** 64n, Object(1), Object('x')],
];

export function hostileValue(random: Random): unknown {
  if (random.chance(0.15)) return PRETENDERS[random.below(PRETENDERS.length)];

  return random.chance(0.45)
    ? NUMBERS[random.below(NUMBERS.length)]
    : OTHERS[random.below(OTHERS.length)];
}

/** Whether the value is plainly no such thing, so that a call with it must not succeed. */
export function isPlainlyWrong(type: string, isOptional: boolean, value: unknown): boolean {
  try {
    return isNoneOf(type, isOptional, value);
  } catch {
    return true; // it does not even say what it is
  }
}

function isNoneOf(type: string, isOptional: boolean, value: unknown): boolean {
  if (value === undefined && (isOptional || /\| undefined$/.test(type))) return false;
  if (/^(number|BufferId|ThreadSlot \| number)$/.test(type)) {
    return typeof value !== 'number' || Number.isNaN(value);
  }
  if (type === 'string') return typeof value !== 'string';
  if (type === 'boolean') return typeof value !== 'boolean';
  if (/=>|^RegionSink$/.test(type)) return typeof value !== 'function';
  if (/^(Bytes|Uint8Array)$/.test(type)) return !(value instanceof Uint8Array);
  if (/^Int32Array|^Words$/.test(type)) return !(value instanceof Int32Array);
  if (type === 'Packet') return !(value instanceof Packet);
  if (type === 'BufferPool') return !(value instanceof BufferPool);
  if (type === 'WriteFlusher') return !(value instanceof WriteFlusher);
  if (type === 'UdpAddress') return !(value instanceof UdpAddress);
  if (/\[\]$/.test(type)) return !Array.isArray(value);
  if (type === 'Key') return /^(object|boolean|symbol|undefined|function)$/.test(kindOf(value));
  if (type === 'SendPacket') return typeof value !== 'object' || value === null;
  if (/Options$|Handle$|Ticket$|^\{/.test(type)) {
    return typeof value !== 'object' || value === null || Array.isArray(value);
  }
  return false;
}

function kindOf(value: unknown): string {
  if (value instanceof Uint8Array) return 'bytes';
  return Number.isNaN(value) ? 'undefined' : typeof value;
}

/** Whether JavaScript itself refuses to make a number of it. */
export function isNoPrimitive(value: unknown): boolean {
  try {
    void `${value}${Number(value)}`;
    return typeof value === 'bigint';
  } catch {
    return true;
  }
}
