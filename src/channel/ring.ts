// SPDX-License-Identifier: MIT
/** Interfaces of a ring buffer: its producer and its consumer. Each kind of channel has one. */

/** Returned by {@link RingProducer.claim} and {@link RingConsumer.peek}: not now. */
export const NOT_NOW = 0;
/** Returned by the same: never again, the channel is closed (and, for a receiver, drained). */
export const NEVER = -1;

/**
 * The sending side of a ring, in one thread.
 *
 * Any call may throw because the stack is full; it has then changed nothing. A claim that was not
 * published remains this thread's: the next claim() returns it again.
 */
export interface RingProducer {
  /**
   * Returns how many messages, at most `max`, are worth preparing for the next {@link claim}, which
   * decides; or {@link NOT_NOW} or {@link NEVER}. Claims nothing.
   */
  room(max: number): number;
  /**
   * Claims adjacent slots for at most `max` messages. Returns their number, {@link NOT_NOW} or
   * {@link NEVER}.
   */
  claim(max: number): number;
  /** Index of the payload of the first claimed slot. */
  slot(): number;
  /** Publishes the first `count` claimed slots. False if the channel is closed: none was. */
  publish(count: number): boolean;
  /** Returns claimed slots unused, if there are any. */
  abort(): void;
  /** Asks to be rung when there is room. False: try again first. */
  arm(): boolean;
}

/**
 * The receiving side of a ring, in one thread.
 *
 * A call that throws has changed nothing. A message that peek() claimed and free() did not free is
 * found again by the next peek().
 */
export interface RingConsumer {
  /**
   * Finds at most `max` messages in adjacent slots. Returns their number, {@link NOT_NOW} or
   * {@link NEVER}.
   */
  peek(max: number): number;
  /** Index of the payload of the first of them. */
  slot(): number;
  /** False if {@link peek} would find nothing. Plain loads; claims nothing. */
  readonly hasNews: boolean;
  /** Frees the slots of the first `count` messages. */
  free(count: number): void;
  /** If several threads receive: payload index of a message that is claimed, not freed; else −1. */
  readonly pending: number;
  /** Asks to be rung when a message arrives. False: try again first. */
  arm(): boolean;
}
