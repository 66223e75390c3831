// SPDX-License-Identifier: MIT
/**
 * The loads under which brokers are compared, and the messages between the harness and its load
 * threads.
 */

/**
 * Publishers send as fast as the broker takes it: one to some subscribers, or many, each to one
 * subscriber of its own.
 */
export interface FlowScenario {
  readonly kind: 'flow';
  readonly id: string;
  readonly publishers: number;
  /** As many as publishers, unless there is one publisher. */
  readonly subscribers: number;
  readonly payloadBytes: number;
  /** Messages that each publisher sends in one run. */
  readonly messages: number;
}

/** One requester waits for each answer before it asks again. */
export interface RequestScenario {
  readonly kind: 'request';
  readonly id: string;
  readonly payloadBytes: number;
  /** Requests in one run. */
  readonly requests: number;
}

export type Scenario = FlowScenario | RequestScenario;

/** Messages before the published bytes repeat; every count of messages is a multiple of it. */
export const BLOCK_MESSAGES = 512;

/** Large enough that a run lasts most of a second on the machine this was written on. */
export const scenarios: readonly Scenario[] = [
  flow('1-to-1/16B', 1, 16, 4000),
  flow('1-to-1/64B', 1, 64, 3000),
  flow('1-to-1/1024B', 1, 1024, 1000),
  flow('1-to-8/16B', 8, 16, 1000),
  flow('1-to-8/64B', 8, 64, 800),
  pairs('4-to-4/16B', 4, 16, 1000),
  pairs('4-to-4/1024B', 4, 1024, 250),
  { kind: 'request', id: 'request-reply/16B', payloadBytes: 16, requests: 8192 },
];

/** What a load thread is told to prepare: one end of a scenario against the server on `port`. */
export interface LoadCommand {
  readonly task: 'publish' | 'subscribe' | 'blast' | 'request' | 'respond';
  /** Not used by `blast`, which is a server itself. */
  readonly port: number;
  /** Of the server; see {@link subscriberPlace}. */
  readonly executors: number;
  readonly scenario: Scenario;
}

/**
 * A load thread replies to a command with `ready`, and the message `go` with `done` when its part
 * is over.
 */
export type LoadAnswer =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'done'; readonly result: LoadResult }
  | { readonly kind: 'failed'; readonly reason: string };

/** Times are milliseconds of a clock that all threads of the process share. */
export interface LoadResult {
  /** Before the first write; a subscriber: when it was told to begin. */
  readonly beganMs: number;
  /** When the last expected byte had arrived; a publisher: when the server had taken everything. */
  readonly endedMs: number;
  /** Requester: how long each request took, in microseconds. */
  readonly latenciesUs: readonly number[];
}

/** One end of a scenario, connected and waiting. */
export interface LoadTask {
  /** The port of the server: of the one it connected to, or its own. */
  readonly port: number;
  /** Does the work once, checks it, and disconnects. */
  run(): Promise<LoadResult>;
}

/** Messages that subscribers get in one run, all together. */
export function deliveredCount({ messages, subscribers }: FlowScenario): number {
  return messages * subscribers;
}

/**
 * The executor of subscriber `i`, while publisher `i` is at executor `i`, both modulo their number:
 * of two pairs the first two publish across executors, the next two within one, and so on.
 */
export function subscriberPlace(i: number): number {
  return (i >>> 1) + i + 1;
}

function flow(id: string, subscribers: number, payloadBytes: number, blocks: number): FlowScenario {
  const messages = blocks * BLOCK_MESSAGES;
  return { kind: 'flow', id, publishers: 1, subscribers, payloadBytes, messages };
}

function pairs(id: string, count: number, payloadBytes: number, blocks: number): FlowScenario {
  const messages = blocks * BLOCK_MESSAGES;
  return { kind: 'flow', id, publishers: count, subscribers: count, payloadBytes, messages };
}
