// SPDX-License-Identifier: MIT
/** Options of a bus, of subscriptions and of requests. */

import {
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkTimeoutMs,
  show,
} from '../base/check.ts';
import type { BusMessage } from './bus-message.ts';
import { copyHeaders, type Headers } from './envelope.ts';

/** Options of a {@link Bus}. */
export interface BusOptions {
  /** The `source` of its messages; shown by `inspect`. Default 'bus'. */
  readonly name?: string;
  /** Longest subject, in bytes of UTF-8. Default 256. */
  readonly subjectBytesMax?: number;
  /** Most tokens of a subject. Default 32. */
  readonly tokensMax?: number;
  /**
   * Most messages that wait because they were published by a running handler, and most calls of
   * `publish` and `request` that wait for room. Default 1024 of each.
   */
  readonly backlogMax?: number;
  /**
   * Called with what a handler threw, if its subscription has no `onError`. Default: the error ends
   * the thread, unless the program handles 'uncaughtException'.
   */
  readonly onError?: (error: unknown, message: BusMessage) => void;
  /**
   * Called in the host when executor `index` has crashed. Among `inHand` is each message of another
   * thread that it had taken out of its lanes, and that its handlers or loops were not done with;
   * of each sender in order. Small messages share buffers: beside one that was in hand are those of
   * the same buffer that had been handled. A message whose subject is not known any more has the
   * subject ''. Not among them: one that came `laneCapacity` regions of the same sender ago.
   *
   * **Ownership** borrowed until this returns: `keep` one, or publish it again. What the executor
   * had not taken is counted as `lost` by the bus of its successor.
   */
  readonly onCrash?: (index: number, inHand: readonly BusMessage[]) => void;
}

/** What a bus does if a subscription has no room for a message. */
export type Overflow = 'stop' | 'drop-newest' | 'drop-oldest' | 'cut-off';

/** Limits of the messages that a subscription holds, waiting and in hand. */
export interface SubscriptionLimit {
  /** Default 1024. */
  readonly messages?: number;
  /** Default 1 MiB, and at least one message. */
  readonly bytes?: number;
  /** Buffers of the pool. Default an eighth of the pool. */
  readonly buffers?: number;
}

/** Options of `Bus.subscribe`. */
export interface SubscribeOptions {
  /** Of all subscriptions in a queue group, one gets each message. */
  readonly queue?: string;
  /** The subscription ends after this many messages. Default: never. */
  readonly max?: number;
  /** Ends the subscription when it is aborted. */
  readonly signal?: AbortSignal;
  readonly limit?: SubscriptionLimit;
  /**
   * Default 'stop': the publisher gets "not now", or waits. 'drop-newest' and 'drop-oldest' lose
   * messages, which are counted; 'cut-off' ends the subscription with ERR_BUSBAR_SLOW_SUBSCRIBER.
   */
  readonly overflow?: Overflow;
  /** How many calls of an asynchronous handler run at a time. Default 1: in order. */
  readonly concurrency?: number;
  /** Called with what the handler threw, or why the subscription was cut off. */
  readonly onError?: (error: unknown, message: BusMessage | undefined) => void;
}

/** Options of `Bus.request`. */
export interface RequestOptions {
  readonly headers?: Headers;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Options of `Bus.replies`. */
export interface RepliesOptions extends RequestOptions {
  /** Most replies. Default: until the timeout. */
  readonly max?: number;
}

/** Options with every default applied. */
export interface ResolvedSubscription {
  readonly queue: string;
  readonly max: number;
  readonly signal: AbortSignal | undefined;
  readonly messages: number;
  readonly bytes: number;
  readonly buffers: number;
  readonly overflow: Overflow;
  readonly concurrency: number | undefined;
  readonly onError: SubscribeOptions['onError'];
}

export interface ResolvedBus {
  readonly name: string;
  readonly subjectBytesMax: number;
  readonly tokensMax: number;
  readonly backlogMax: number;
  readonly onError: BusOptions['onError'] | undefined;
  readonly onCrash: BusOptions['onCrash'] | undefined;
}

const COUNT_MAX = 2 ** 31 - 1;
const OVERFLOWS: readonly Overflow[] = ['stop', 'drop-newest', 'drop-oldest', 'cut-off'];

/** A name for people and for queue groups: without spaces and controls, at most 255 characters. */
export function checkName(name: string, value: unknown): string {
  if (typeof value !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(value)) {
    throw new TypeError(`${name} must be 1 to 255 printable ASCII characters, got ${show(value)}`);
  }
  return value;
}

/** A copy, for those who read options twice. **Throws** TypeError. */
export function copyBusOptions(options: BusOptions): BusOptions {
  const known = ['name', 'subjectBytesMax', 'tokensMax', 'backlogMax', 'onError', 'onCrash'];
  return checkOptions('options', options, known);
}

export function resolveBusOptions(options: BusOptions): ResolvedBus {
  const own = copyBusOptions(options);
  const { name = 'bus', subjectBytesMax = 256, tokensMax = 32, backlogMax = 1024 } = own;
  const { onError, onCrash } = own;
  return {
    name: checkName('name', name),
    subjectBytesMax: checkInteger('subjectBytesMax', subjectBytesMax, 1, 65_535),
    tokensMax: checkInteger('tokensMax', tokensMax, 1, 1024),
    backlogMax: checkInteger('backlogMax', backlogMax, 1, COUNT_MAX),
    onError: onError === undefined ? undefined : checkFunction('onError', onError),
    onCrash: onCrash === undefined ? undefined : checkFunction('onCrash', onCrash),
  };
}

export function resolveSubscription(
  options: SubscribeOptions,
  bufferCount: number,
): ResolvedSubscription {
  const own = checkOptions('options', options, [
    'queue',
    'max',
    'signal',
    'limit',
    'overflow',
    'concurrency',
    'onError',
  ]);
  const limit = checkOptions('limit', own.limit === undefined ? {} : own.limit, [
    'messages',
    'bytes',
    'buffers',
  ]);
  const { messages = 1024, bytes = 1 << 20 } = limit;
  const buffers = limit.buffers ?? Math.max(1, bufferCount >>> 3);
  const { queue, max, concurrency, onError } = own;
  return {
    queue: queue === undefined ? '' : checkName('queue', queue),
    max: max === undefined ? COUNT_MAX : checkInteger('max', max, 1, COUNT_MAX),
    signal: checkSignal('signal', own.signal),
    messages: checkInteger('limit.messages', messages, 1, COUNT_MAX),
    bytes: checkInteger('limit.bytes', bytes, 1, COUNT_MAX),
    buffers: checkInteger('limit.buffers', buffers, 1, bufferCount),
    overflow: checkOneOf('overflow', own.overflow ?? 'stop', OVERFLOWS),
    concurrency:
      concurrency === undefined ? undefined : checkInteger('concurrency', concurrency, 1, 65_536),
    onError: onError === undefined ? undefined : checkFunction('onError', onError),
  };
}

export function resolveRequest(options: RepliesOptions, isMany: boolean): RepliesOptions {
  const known = ['headers', 'timeoutMs', 'signal'];
  const own = checkOptions('options', options, isMany ? [...known, 'max'] : known);
  const { timeoutMs = 0 } = own;
  checkTimeoutMs('timeoutMs', timeoutMs);
  checkSignal('signal', own.signal);
  if (own.max !== undefined) checkInteger('max', own.max, 1, COUNT_MAX);
  return own.headers === undefined ? own : { ...own, headers: copyHeaders(own.headers) };
}
