// SPDX-License-Identifier: MIT
/**
 * Example broker: its options and their defaults, which are nats-server's where it has the option.
 * What they mean stands in the help of the command line.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const BUFFER_SIZE_MIN = 128 * KIB;
const BUFFER_COUNT_MIN = 32;
/** The largest possible pool. */
const POOL_BYTES_MAX = 2048 * MIB - 64;
/**
 * Of a frame beside the payload, the argument, and blanks before it, of which there may be as many:
 * the name of the operation, and CR and LF at two places.
 */
const LINE_REST_BYTES = 16;

/** Of an option that is a number: the default, the least and the most. */
type Range = readonly [number, number, number];

const NUMBERS = {
  port: [4222, 0, 65_535] as Range,
  authTimeoutMs: [2000, 1, HOUR_MS] as Range,
  maxPayloadBytes: [64 * KIB, 1, 8 * MIB] as Range,
  maxControlLineBytes: [4 * KIB, 64, 64 * KIB] as Range,
  maxPendingBytes: [64 * MIB, 4 * KIB, 1024 * MIB] as Range,
  stallMs: [1000, 0, HOUR_MS] as Range,
  writeDeadlineMs: [10_000, 1, HOUR_MS] as Range,
  frameTimeoutMs: [60_000, 1, HOUR_MS] as Range,
  maxConnections: [65_536, 1, 1 << 20] as Range,
  maxSubscriptions: [100_000, 1, 1 << 24] as Range,
  maxSubscriptionTokens: [128, 1, 64 * KIB] as Range,
  maxSubscriptionBytes: [384 * MIB, 64 * KIB, 64 * 1024 * MIB] as Range,
  pingIntervalMs: [120_000, 1, DAY_MS] as Range,
  maxPingsOut: [2, 1, 100] as Range,
  poolBytes: [1024 * MIB, MIB, 2048 * MIB] as Range,
  lingerMs: [2000, 0, HOUR_MS] as Range,
  lameDuckGraceMs: [10_000, 0, DAY_MS] as Range,
  lameDuckDurationMs: [120_000, 0, DAY_MS] as Range,
};
type NumberKey = keyof typeof NUMBERS;
const NUMBER_KEYS = Object.keys(NUMBERS) as NumberKey[];
type TextKey = 'host' | 'user' | 'pass' | 'token';

/** Names of all options that are texts, and of all. */
export const TEXT_KEYS: readonly TextKey[] = ['host', 'user', 'pass', 'token'];
export const KNOWN_KEYS: readonly (TextKey | NumberKey)[] = [...TEXT_KEYS, ...NUMBER_KEYS];

export type BrokerOptions = Readonly<
  Partial<Record<TextKey, string>> & Partial<Record<NumberKey, number>>
>;

/** All options with their values. */
export interface ResolvedBrokerOptions extends Readonly<Record<NumberKey, number>> {
  readonly host: string;
  readonly user: string | undefined;
  readonly pass: string | undefined;
  readonly token: string | undefined;
  /** Longest message with its line. */
  readonly maxFrameBytes: number;
  /** Bytes of one pool buffer: such a message fits. */
  readonly bufferSize: number;
  readonly bufferCount: number;
}

/** Checks the options and applies the defaults. */
export function resolveBrokerOptions(options: BrokerOptions): ResolvedBrokerOptions {
  for (const key of Object.keys(options)) {
    if (!(KNOWN_KEYS as readonly string[]).includes(key)) {
      throw new TypeError(`options has no ${key}; known are ${KNOWN_KEYS.join(', ')}`);
    }
  }
  const { host = '127.0.0.1', user, pass, token } = options;
  if ((user === undefined) !== (pass === undefined)) {
    throw new TypeError('user and pass must be given together');
  }
  if (user !== undefined && token !== undefined) {
    throw new TypeError('give a user and pass or a token, not both');
  }
  const checked = NUMBER_KEYS.map((key) => {
    const [standard, min, max] = NUMBERS[key];
    return [key, inRange(key, options[key] ?? standard, min, max)];
  });
  const numbers = Object.fromEntries(checked) as Record<NumberKey, number>;
  const { maxPayloadBytes, maxControlLineBytes, poolBytes } = numbers;
  const maxFrameBytes = maxPayloadBytes + 2 * maxControlLineBytes + LINE_REST_BYTES;
  const bufferSize = Math.max(BUFFER_SIZE_MIN, 2 ** Math.ceil(Math.log2(maxFrameBytes)));
  const bufferCount = bufferCountFor(bufferSize, poolBytes);
  return { ...numbers, host, user, pass, token, maxFrameBytes, bufferSize, bufferCount };
}

/** Buffers for this many bytes: at least a few, at most as many as a pool can have. */
export function bufferCountFor(bufferSize: number, bytes: number): number {
  const count = Math.max(BUFFER_COUNT_MIN, Math.floor(bytes / bufferSize));
  return Math.min(count, Math.floor(POOL_BYTES_MAX / bufferSize));
}

function inRange(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name} must be an integer from ${min} to ${max}, got ${value}`);
}
