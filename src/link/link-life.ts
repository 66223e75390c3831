// SPDX-License-Identifier: MIT
/** `LinkLife`: the life cycle of a link as an automaton without I/O. */

import { assert } from '../base/assert.ts';
import { showMs } from '../base/check.ts';
import { BusbarError } from '../base/errors.ts';

/** The program may write. */
export const OPEN = 'open';
/** The program writes no more; what it has written is being sent. */
export const FINISHING = 'finishing';
/** Everything was sent, including a stream's end. The other side may still send. */
export const ENDED = 'ended';
/** Nothing is received or sent. The system still uses the socket or a buffer. */
export const LEAVING = 'leaving';
/** Nothing is held. */
export const CLOSED = 'closed';
export type LinkState =
  | typeof OPEN
  | typeof FINISHING
  | typeof ENDED
  | typeof LEAVING
  | typeof CLOSED;

/** The origin of a link's error: the program's signal or handler, or the outside world. */
const SIGNAL = 'signal';
const HANDLER = 'handler';
const OUTSIDE = 'outside';
type Origin = typeof SIGNAL | typeof HANDLER | typeof OUTSIDE;

/** The actions that a link must take now, in this order. */
export interface Ready {
  /** Cancel the running deadline, and report {@link LinkLife.deadlineOver} after this time. */
  readonly deadlineMs: number | undefined;
  /** Deliver nothing more. */
  readonly stopReading: boolean;
  /** Send what the writers hold; report {@link LinkLife.drained} when everything was sent. */
  readonly sendRest: boolean;
  /** Send the end of the stream. */
  readonly sendEnd: boolean;
  /**
   * Cancel the deadline, drop what waits, and close the socket; report {@link LinkLife.osClosed}
   * when the system no longer uses the socket or any buffer.
   */
  readonly release: boolean;
  /** Call the program's `onClose`. */
  readonly notifyClosed: boolean;
}

const NOTHING: Ready = Object.freeze({
  deadlineMs: undefined,
  stopReading: false,
  sendRest: false,
  sendEnd: false,
  release: false,
  notifyClosed: false,
});

/**
 * An automaton without I/O: each method reports an event and returns the actions to take.
 *
 *   OPEN ──close, end, peerEnded──▶ FINISHING ──drained──▶ ENDED
 *     │                                 │                    │
 *     └──────── destroy, failed, aborted, handlerThrew, deadlineOver ────▶ LEAVING ──osClosed──▶
 *                                                                          CLOSED
 *
 * A datagram link neither sends nor awaits an end: it is destroyed in ENDED. With `allowHalfOpen` a
 * stream stays as it is when its other side has ended.
 *
 * If there are several reasons to close, the first one is kept as `error`.
 */
export class LinkLife {
  readonly #allowHalfOpen: boolean;
  readonly #closeDeadlineMs: number;
  #state: LinkState = OPEN;
  /** True after `close`, whose deadline then applies whatever the other side does. */
  #isClosing = false;
  /** The running deadline. */
  #deadlineMs: number | undefined;
  #error: BusbarError | undefined;
  /** Where the error came from. */
  #origin: Origin = OUTSIDE;

  /** `closeDeadlineMs` applies when the other side ends and {@link close} was not called. */
  constructor(closeDeadlineMs: number, allowHalfOpen: boolean) {
    this.#closeDeadlineMs = closeDeadlineMs;
    this.#allowHalfOpen = allowHalfOpen;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Why the link did not close in good order. */
  get error(): BusbarError | undefined {
    return this.#error;
  }

  /** {@link error}, unless the program aborted the link or its handler threw. */
  get failure(): BusbarError | undefined {
    return this.#origin === OUTSIDE ? this.#error : undefined;
  }

  /** Whether the peer must not take the end for the end of all data. */
  get isBroken(): boolean {
    return this.#error !== undefined && this.#origin !== SIGNAL;
  }

  /** Whether nothing more is received or sent. */
  get isGone(): boolean {
    return this.#state === LEAVING || this.#state === CLOSED;
  }

  /** Whether the program has closed the link, or it {@link isGone}. */
  get isEnding(): boolean {
    return this.#isClosing || this.isGone;
  }

  /** The program closes the link in good order, within a deadline. */
  close(deadlineMs: number): Ready {
    if (this.isGone) return NOTHING;
    const sendRest = this.#state === OPEN;
    if (sendRest) this.#becomeFinishing();
    const stopReading = !this.#isClosing;
    this.#isClosing = true;
    this.#deadlineMs = deadlineMs;
    return this.#ready({ deadlineMs, stopReading, sendRest });
  }

  /** The program's async handler has returned; a `close` before keeps its deadline. */
  handlerReturned(): Ready {
    return this.#isClosing ? NOTHING : this.close(this.#closeDeadlineMs);
  }

  /** The program writes no more. */
  end(): Ready {
    if (this.#state !== OPEN) return NOTHING;
    this.#becomeFinishing();
    return this.#ready({ sendRest: true });
  }

  /** The other side sends no more, and everything that it sent was delivered. */
  peerEnded(): Ready {
    if (this.isGone || this.#allowHalfOpen) return NOTHING;
    const sendRest = this.#state === OPEN;
    if (sendRest) this.#becomeFinishing();
    if (this.#isClosing) return this.#ready({ sendRest });
    this.#deadlineMs = this.#closeDeadlineMs;
    return this.#ready({ deadlineMs: this.#deadlineMs, sendRest });
  }

  /** Everything that was written was sent. Only while FINISHING. */
  drained(): Ready {
    assert(this.#state === FINISHING, 'only a finishing link is drained');
    this.#state = ENDED;
    return this.#ready({ sendEnd: true });
  }

  /** The program destroys the link. */
  destroy(): Ready {
    return this.#end(undefined);
  }

  /** The link cannot continue. */
  failed(error: BusbarError): Ready {
    return this.#end(error);
  }

  /** The program's signal was aborted. */
  aborted(cause: unknown): Ready {
    if (this.#error === undefined) this.#origin = SIGNAL;
    return this.#end(new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'aborted', { cause }));
  }

  /** The program's handler threw `cause`. */
  handlerThrew(cause: unknown): Ready {
    if (this.#error === undefined) this.#origin = HANDLER;
    return this.#end(new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'its handler threw', { cause }));
  }

  /** The running deadline has passed. */
  deadlineOver(): Ready {
    assert(this.#deadlineMs !== undefined, 'a deadline must run');
    const what = this.#state === ENDED ? 'the peer did not end' : 'not all could be sent';
    const detail = `close within ${showMs(this.#deadlineMs)}; ${what}`;
    return this.#end(new BusbarError('ERR_BUSBAR_TIMEOUT', detail));
  }

  /** The system no longer uses the socket or any buffer. Only while LEAVING. */
  osClosed(): Ready {
    assert(this.#state === LEAVING, 'only a leaving link is closed by the system');
    this.#state = CLOSED;
    return this.#ready({ notifyClosed: true });
  }

  /** Records a loss, or the system's error, as the reason to close. Changes no state. */
  note(error: BusbarError): void {
    this.#error ??= error;
  }

  /** Asserts what holds after each call. */
  invariants(): void {
    const state = this.#state;
    if (state === OPEN) assert(!this.#isClosing, 'a closing link is not open');
    if (state === OPEN) assert(this.#deadlineMs === undefined, 'an open link has no deadline');
    if (this.#deadlineMs === undefined) {
      assert(!this.#isClosing || this.isGone, 'a closing link has a deadline');
    } else {
      assert(state === FINISHING || state === ENDED, 'only an ending link has a deadline');
    }
  }

  /** The state in one line: `finishing, closing within 5000 ms`. */
  describe(): string {
    const closing = this.#isClosing && !this.isGone ? ', closing' : '';
    const deadline = this.#deadlineMs === undefined ? '' : ` within ${showMs(this.#deadlineMs)}`;
    const error = this.#error === undefined ? '' : `, ${this.#error.code}`;
    return `${this.#state}${closing}${deadline}${error}`;
  }

  #becomeFinishing(): void {
    assert(this.#state === OPEN, 'only an open link finishes');
    this.#state = FINISHING;
  }

  /** The transition to LEAVING, from every earlier state. */
  #end(error: BusbarError | undefined): Ready {
    if (this.isGone) return NOTHING;
    if (error !== undefined) this.note(error);
    this.#state = LEAVING;
    this.#deadlineMs = undefined;
    return this.#ready({ stopReading: true, release: true });
  }

  #ready(what: Partial<Ready>): Ready {
    this.invariants();
    return { ...NOTHING, ...what };
  }
}
