// SPDX-License-Identifier: MIT
/**
 * Example broker: its options and their defaults, which are nats-server's where it has the option.
 */

export interface BrokerOptions {
  /** Address to listen on. Default 127.0.0.1: reachable from this machine only. */
  readonly host?: string;
  /** TCP port; 0 lets the system choose. Default 4222. */
  readonly port?: number;
  /** Credentials of clients: a user with a password, or a token, or (default) none. */
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  /** Time for a client to present them, in milliseconds. Default 2000. */
  readonly authTimeoutMs?: number;
  /**
   * Longest message accepted, headers included, in bytes, up to 8 MiB. Default 64 KiB: a message
   * lives in one pool buffer from socket to socket, and small buffers stay in the processor's
   * cache. (nats-server: 1 MiB.)
   */
  readonly maxPayloadBytes?: number;
  /** Longest protocol line, in bytes. Default 4096. */
  readonly maxControlLineBytes?: number;
  /**
   * Output that may wait for one client, in bytes. Default 64 MiB; less if many clients are slow
   * that the pool is too small for that. Beyond it publishers to the client wait, for up to
   * `stallMs`; if it does not read in that time, it is cut off. (nats-server cuts it off at once.)
   */
  readonly maxPendingBytes?: number;
  /** Longest time that publishers wait for one client, in milliseconds. Default 1000. */
  readonly stallMs?: number;
  /** Output for a client must be sent within this time; otherwise it is cut off. Default 10 000. */
  readonly writeDeadlineMs?: number;
  /** Longest time for a client to send a line or message that it has begun. Default 60 000. */
  readonly frameTimeoutMs?: number;
  /** Clients at once; an executor has room for 65 512. Default 65 536. */
  readonly maxConnections?: number;
  /** Subscriptions per client. Default 100 000. */
  readonly maxSubscriptions?: number;
  /** Tokens in the subject of a subscription. Default 128. (nats-server: as the line allows.) */
  readonly maxSubscriptionTokens?: number;
  /**
   * Memory for all subscriptions, in bytes: one takes 1280 bytes and three times its subject, group
   * and id. Each executor has a part of it. Default 384 MiB. A client may use as much of it as is
   * left for all others, that is at most half.
   */
  readonly maxSubscriptionBytes?: number;
  /** Interval of PINGs to a client, in milliseconds. Default 120 000. */
  readonly pingIntervalMs?: number;
  /** Unanswered PINGs after which a client is stale. Default 2. */
  readonly maxPingsOut?: number;
  /**
   * Memory for messages being read or waiting for clients, in bytes, up to 2 GiB. Default 1 GiB, so
   * that a dozen slow clients may have `maxPendingBytes` waiting each. Memory never used costs only
   * address space.
   */
  readonly poolBytes?: number;
  /**
   * Time for a client that is cut off, or for all clients when the broker drains, to read the last
   * bytes, in milliseconds. Default 2000.
   */
  readonly lingerMs?: number;
  /** Lame duck mode: time for clients to leave by themselves, in milliseconds. Default 10 000. */
  readonly lameDuckGraceMs?: number;
  /** Lame duck mode: time until all clients are closed, grace included. Default 120 000. */
  readonly lameDuckDurationMs?: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const BUFFER_SIZE_MIN = 128 * KIB;
const BUFFER_COUNT_MIN = 32;
/** The largest possible pool. */
const POOL_BYTES_MAX = 2048 * MIB - 64;
export const MAX_PAYLOAD_BYTES_MAX: number = 8 * MIB;
/** Bytes of an operation's name and two line ends. */
const LINE_REST_BYTES = 16;

type TextKey = 'host' | 'user' | 'pass' | 'token';
type NumberKey = Exclude<keyof BrokerOptions, TextKey>;

/** Of each option that is a number: the default, the least and the most. */
const NUMBERS: Readonly<Record<NumberKey, readonly [number, number, number]>> = {
  port: [4222, 0, 65_535],
  authTimeoutMs: [2000, 1, HOUR_MS],
  maxPayloadBytes: [64 * KIB, 1, MAX_PAYLOAD_BYTES_MAX],
  maxControlLineBytes: [4 * KIB, 64, 64 * KIB],
  maxPendingBytes: [64 * MIB, 4 * KIB, 1024 * MIB],
  stallMs: [1000, 0, HOUR_MS],
  writeDeadlineMs: [10_000, 1, HOUR_MS],
  frameTimeoutMs: [60_000, 1, HOUR_MS],
  maxConnections: [65_536, 1, 1 << 20],
  maxSubscriptions: [100_000, 1, 1 << 24],
  maxSubscriptionTokens: [128, 1, 64 * KIB],
  maxSubscriptionBytes: [384 * MIB, 64 * KIB, 64 * 1024 * MIB],
  pingIntervalMs: [120_000, 1, DAY_MS],
  maxPingsOut: [2, 1, 100],
  poolBytes: [1024 * MIB, MIB, 2048 * MIB],
  lingerMs: [2000, 0, HOUR_MS],
  lameDuckGraceMs: [10_000, 0, DAY_MS],
  lameDuckDurationMs: [120_000, 0, DAY_MS],
};
const NUMBER_KEYS = Object.keys(NUMBERS) as NumberKey[];

/** Names of all options that are texts, and of all. */
export const TEXT_KEYS: readonly TextKey[] = ['host', 'user', 'pass', 'token'];
export const KNOWN_KEYS: readonly (keyof BrokerOptions)[] = [...TEXT_KEYS, ...NUMBER_KEYS];

/** All options with their values. */
export interface ResolvedBrokerOptions extends Readonly<Record<NumberKey, number>> {
  readonly host: string;
  readonly user: string | undefined;
  readonly pass: string | undefined;
  readonly token: string | undefined;
  /** Bytes of one pool buffer: the longest message with its line fits. */
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
  const frameBytesMax = maxPayloadBytes + 2 * maxControlLineBytes + LINE_REST_BYTES;
  const bufferSize = Math.max(BUFFER_SIZE_MIN, 2 ** Math.ceil(Math.log2(frameBytesMax)));
  const bufferCount = bufferCountFor(bufferSize, poolBytes);
  return { ...numbers, host, user, pass, token, bufferSize, bufferCount };
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
