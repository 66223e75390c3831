// SPDX-License-Identifier: MIT
/** The life of a link as an automaton: which state follows which, and what is to be done. */

import { assert } from '../base/assert.ts';
import { BusbarError } from '../base/errors.ts';

/** The program may write. */
export const OPEN = 'open';
/** The program writes no more, and what it has written is being sent. */
export const FINISHING = 'finishing';
/** All of it was sent, and on a stream the end too. The other side may still send. */
export const ENDED = 'ended';
/** Nothing comes and nothing leaves. The system has not let go of everything yet. */
export const LEAVING = 'leaving';
/** Nothing is held any more. */
export const CLOSED = 'closed';
export type LinkState =
  | typeof OPEN
  | typeof FINISHING
  | typeof ENDED
  | typeof LEAVING
  | typeof CLOSED;

/** What a link does now, in this order. */
export interface Ready {
  /** Report {@link LinkLife.deadlineOver} after so long, and forget every deadline before. */
  readonly deadlineMs: number | undefined;
  /** Deliver nothing any more. */
  readonly stopReading: boolean;
  /** Send what the writers hold; report {@link LinkLife.drained} when all of it has left. */
  readonly sendRest: boolean;
  /** Tell the other side that nothing more comes. */
  readonly sendEnd: boolean;
  /**
   * Forget the deadline, drop what waits, and close the socket; report {@link LinkLife.osClosed}
   * when the system is done with everything.
   */
  readonly release: boolean;
  /** Tell the program that the link is gone. */
  readonly tellClosed: boolean;
}

const NOTHING: Ready = Object.freeze({
  deadlineMs: undefined,
  stopReading: false,
  sendRest: false,
  sendEnd: false,
  release: false,
  tellClosed: false,
});

/**
 * An automaton: each method is something that has happened, and returns what to do about it.
 *
 *   OPEN ──close, end, peerEnded──▶ FINISHING ──drained──▶ ENDED
 *     │                                 │                    │
 *     └──────── destroy, failed, aborted, handlerThrew, deadlineOver ────▶ LEAVING ──osClosed──▶
 *                                                                          CLOSED
 *
 * A link of datagrams has no end to send and none to wait for: it is destroyed when it has ended.
 * With `allowHalfOpen` a stream stays as it is when its other side has ended.
 *
 * The reason to close that comes first is the one that stays.
 */
export class LinkLife {
  readonly #allowHalfOpen: boolean;
  readonly #closeDeadlineMs: number;
  #state: LinkState = OPEN;
  /** `close` was called: its deadline holds, whatever the other side does. */
  #isClosing = false;
  /** The deadline that runs. */
  #deadlineMs: number | undefined;
  #error: BusbarError | undefined;

  /** `closeDeadlineMs`: how long a link may take to close that was not told by {@link close}. */
  constructor(closeDeadlineMs: number, allowHalfOpen: boolean) {
    this.#closeDeadlineMs = closeDeadlineMs;
    this.#allowHalfOpen = allowHalfOpen;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Why the link is not closed in good order. */
  get error(): BusbarError | undefined {
    return this.#error;
  }

  /** Whether nothing comes and nothing leaves any more. */
  get isGone(): boolean {
    return this.#state === LEAVING || this.#state === CLOSED;
  }

  /** The program closes the link in good order, and waits for so long. */
  close(deadlineMs: number): Ready {
    if (this.isGone) return NOTHING;
    const sendRest = this.#state === OPEN;
    if (sendRest) this.#becomeFinishing();
    const stopReading = !this.#isClosing;
    this.#isClosing = true;
    this.#deadlineMs = deadlineMs;
    return this.#ready({ deadlineMs, stopReading, sendRest });
  }

  /** The program writes no more. */
  end(): Ready {
    if (this.#state !== OPEN) return NOTHING;
    this.#becomeFinishing();
    return this.#ready({ sendRest: true });
  }

  /** The other side sends no more, and what it has sent is delivered. */
  peerEnded(): Ready {
    if (this.isGone || this.#allowHalfOpen) return NOTHING;
    const sendRest = this.#state === OPEN;
    if (sendRest) this.#becomeFinishing();
    if (this.#isClosing) return this.#ready({ sendRest });
    this.#deadlineMs = this.#closeDeadlineMs;
    return this.#ready({ deadlineMs: this.#deadlineMs, sendRest });
  }

  /** All that was written has left. Only while FINISHING. */
  drained(): Ready {
    assert(this.#state === FINISHING, 'only a link that finishes is drained');
    this.#state = ENDED;
    return this.#ready({ sendEnd: true });
  }

  /** The program destroys the link. */
  destroy(): Ready {
    return this.#leave(undefined);
  }

  /** The link cannot go on. */
  failed(error: BusbarError): Ready {
    return this.#leave(error);
  }

  /** The program's signal was aborted. */
  aborted(cause: unknown): Ready {
    return this.#leave(new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'aborted', { cause }));
  }

  /** The program's handler has thrown `cause`. */
  handlerThrew(cause: unknown): Ready {
    return this.#leave(new BusbarError('ERR_BUSBAR_LINK_CLOSED', 'its handler threw', { cause }));
  }

  /** The deadline of the last {@link Ready} that had one is over. Only while it runs. */
  deadlineOver(): Ready {
    assert(this.#deadlineMs !== undefined, 'a deadline runs');
    const what = this.#state === ENDED ? 'the peer did not end' : 'not all could be sent';
    const detail = `close, ${this.#deadlineMs} ms: ${what}`;
    return this.#leave(new BusbarError('ERR_BUSBAR_TIMEOUT', detail));
  }

  /** The system is done with the socket and with every buffer. Only while LEAVING. */
  osClosed(): Ready {
    assert(this.#state === LEAVING, 'the link has let go of its socket');
    this.#state = CLOSED;
    return this.#ready({ tellClosed: true });
  }

  /** Something was lost, or the system says why it is about to close. Changes no state. */
  note(error: BusbarError): void {
    this.#error ??= error;
  }

  /** Checks what must hold after each call. */
  invariants(): void {
    const state = this.#state;
    if (state === OPEN) assert(!this.#isClosing, 'a link that closes is not open');
    if (state === OPEN) assert(this.#deadlineMs === undefined, 'an open link has all the time');
    if (this.#deadlineMs === undefined) {
      assert(!this.#isClosing || this.isGone, 'a link that closes has a deadline');
    } else {
      assert(state === FINISHING || state === ENDED, 'a deadline runs for what is not done yet');
    }
  }

  /** In a line: `finishing, closing within 5000 ms`. */
  describe(): string {
    const closing = this.#isClosing && !this.isGone ? ', closing' : '';
    const deadline = this.#deadlineMs === undefined ? '' : ` within ${this.#deadlineMs} ms`;
    const error = this.#error === undefined ? '' : `, ${this.#error.code}`;
    return `${this.#state}${closing}${deadline}${error}`;
  }

  #becomeFinishing(): void {
    assert(this.#state === OPEN, 'only an open link finishes');
    this.#state = FINISHING;
  }

  /** From every state that is not gone. */
  #leave(error: BusbarError | undefined): Ready {
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
