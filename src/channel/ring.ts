// SPDX-License-Identifier: MIT
/** The room between threads: what both ends ask of whatever ring lies between them. */

/** Answer of {@link RingProducer.claim} and {@link RingConsumer.peek}: not now. */
export const NOT_NOW = 0;
/** Answer of the same: never again, the channel is closed (and, for a receiver, drained). */
export const NEVER = -1;

/**
 * The sending side of a ring, in one thread.
 *
 * Any call may throw because the stack is full, and has changed nothing then. A claim that was not
 * published stays this thread's: the next claim() returns it again.
 */
export interface RingProducer {
  /**
   * How many messages, at most `max`, are worth preparing for the next {@link claim}, which has the
   * last word; {@link NOT_NOW} or {@link NEVER}. Claims nothing.
   */
  room(max: number): number;
  /**
   * Slots for at most `max` messages, next to each other: how many, {@link NOT_NOW} or
   * {@link NEVER}.
   */
  claim(max: number): number;
  /** Index of the payload of the first claimed slot. */
  slot(): number;
  /** Shows the first `count` claimed slots. False if the channel was closed: none was shown. */
  publish(count: number): boolean;
  /** Gives claimed slots back unused, if there are any. */
  abandon(): void;
  /** Asks to be rung when there is room. False: look again first. */
  arm(): boolean;
}

/**
 * The receiving side of a ring, in one thread. What throws has changed nothing, as above: what
 * peek() has claimed and nobody has freed, the next peek() finds again.
 */
export interface RingConsumer {
  /**
   * At most `max` messages that are there, next to each other: how many, {@link NOT_NOW} or
   * {@link NEVER}.
   */
  peek(max: number): number;
  /** Index of the payload of the first of them. */
  slot(): number;
  /** A look without ordering, which claims nothing: false if {@link peek} would find nothing. */
  readonly hasNews: boolean;
  /** The first `count` of them were taken out. */
  free(count: number): void;
  /**
   * Index of the payload of a message that peek() has claimed, of several receivers, and nobody has
   * freed; or −1.
   */
  readonly pending: number;
  /** Asks to be rung when there is something. False: look again first. */
  arm(): boolean;
}
