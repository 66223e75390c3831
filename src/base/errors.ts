// SPDX-License-Identifier: MIT
/** BusbarError and the table of its codes: everything that the outside world can do to us. */

import { show } from './check.ts';

// Each comment says when the error occurs, and after **Do** what to do then. docs/errors.md is made
// of them (`npm run errors`) and is in the package, whose declarations are without them.
/**
 * Every code with what it means. Codes are stable; texts are not. docs/errors.md says of each when
 * it occurs and what to do then.
 */
export const BUSBAR_ERRORS = {
  /**
   * A thread called `pool.close()`, and this one asks for a buffer, or waits for one.
   *
   * **Do**: Close the pool last: after links, channels, groups and flushers.
   *
   * **See**: [ending in good order](../../docs/links.md#ending-in-good-order).
   */
  ERR_BUSBAR_POOL_CLOSED: 'the pool was closed',
  /**
   * A framer set bytes of an unfinished frame aside and gets no buffer in which to join them.
   *
   * **Do**: Try again once a buffer is free. `pool.who()` says who holds them; if that is right,
   * set a larger `bufferCount`.
   *
   * **See**: [sizing a pool](../../docs/guides/sizing.md),
   * [finding a leak](../../docs/guides/ownership.md#finding-a-leak).
   */
  ERR_BUSBAR_POOL_EXHAUSTED: 'no buffer is free now',
  /**
   * A call waited longer than its timeout, or a link was silent for longer than its limit; the text
   * says which.
   *
   * **Do**: Treat it as "not now": try again, close the peer, or allow more time. What you wanted
   * to send is still yours.
   *
   * **See**: [finding a leak](../../docs/guides/ownership.md#finding-a-leak).
   */
  ERR_BUSBAR_TIMEOUT: 'the wait took longer than its timeout',
  /**
   * A buffer was released twice, or is used by a thread that never received it.
   *
   * **Do**: A bug of the program. Use packets instead of numbers, and run it with
   * `BUSBAR_TRACK_LEAKS=1`: a released packet then says where it was released.
   *
   * **See**: [who owns what](../../docs/guides/ownership.md).
   */
  ERR_BUSBAR_NOT_HELD: 'this thread holds no reference on the buffer',
  /**
   * A packet is used after `release()`, or after a call that took it, such as `send`.
   *
   * **Do**: A bug of the program. Take what you need first, or `clone()` the packet before you
   * give it away. With `BUSBAR_TRACK_LEAKS=1` the text says where it was released.
   *
   * **See**: [who owns what](../../docs/guides/ownership.md).
   */
  ERR_BUSBAR_PACKET_RELEASED: 'the packet was used after it was released or sent',
  /**
   * Words were received twice, were changed on their way, or are of another pool.
   *
   * **Do**: Receive each message once, and from the pool in which it was sent.
   *
   * **See**: [across threads](../../docs/guides/threads.md).
   */
  ERR_BUSBAR_BAD_SEND_PACKET: 'the words do not describe a packet in transit in this pool',
  /**
   * `attach` got something that is not a handle, or the handle of another kind, pool, or version
   * of busbar.
   *
   * **Do**: Pass `x.handle` as it is, through `workerData` or `postMessage`; all threads load the
   * same version of busbar.
   *
   * **See**: [across threads](../../docs/guides/threads.md#what-goes-wrong).
   */
  ERR_BUSBAR_BAD_HANDLE: 'the value is not a handle of the expected kind and version',
  /**
   * More threads attach to the pool than `maxThreads` allows, or dead ones have not been
   * reclaimed.
   *
   * **Do**: Set a larger `maxThreads`, `detach()` in threads that end, and call
   * `pool.reclaimDead()` after a death.
   *
   * **See**: [across threads](../../docs/guides/threads.md).
   */
  ERR_BUSBAR_THREAD_SLOTS: 'every thread slot of the pool is taken',
  /**
   * Buffers of a thread are to be reclaimed, and it still lives, or nothing proves that it does
   * not.
   *
   * **Do**: Wait for the worker's `exit` event, call `pool.declareExited(slot)`, and reclaim then.
   */
  ERR_BUSBAR_THREAD_ALIVE: 'the thread is not known to be dead',
  /**
   * The thread uses the pool, or something on it, after `pool.detach()`.
   *
   * **Do**: Detach last: after links, channels and writers of this thread are closed.
   */
  ERR_BUSBAR_DETACHED: 'this thread has detached from the pool',
  /**
   * The thread detaches before it has released all its references.
   *
   * **Do**: Release or send them. With `BUSBAR_TRACK_LEAKS=1` the text says where the first
   * was taken.
   *
   * **See**: [finding a leak](../../docs/guides/ownership.md#finding-a-leak).
   */
  ERR_BUSBAR_BUFFERS_HELD: 'the thread still holds buffers',
  /**
   * A buffer is retained more often than the counter can count.
   *
   * **Do**: A bug of the program: something retains in a loop and never releases.
   */
  ERR_BUSBAR_REFERENCES: 'too many references on one buffer',
  /**
   * A message is longer than `bufferSize`, or than a datagram may be.
   *
   * **Do**: Set a larger `bufferSize`, or send the message in parts.
   *
   * **See**: [sizing a pool](../../docs/guides/sizing.md),
   * [in parts](../../docs/links.md#messages-larger-than-a-buffer).
   */
  ERR_BUSBAR_MESSAGE_TOO_LARGE: 'the message does not fit a buffer',
  /**
   * Something is written, reserved or committed after `close()`, or after the link under it has
   * closed.
   *
   * **Do**: Stop writing when the link says so (`onClose`); treat it as a departed peer.
   */
  ERR_BUSBAR_WRITER_CLOSED: 'the writer was closed',
  /**
   * More writers than the flusher's `writerCount`; each link has one in the flusher that it uses.
   *
   * **Do**: Close writers that you no longer need, or give the links a flusher with more slots.
   *
   * **See**: [how many links](../../docs/links.md#how-many-links).
   */
  ERR_BUSBAR_WRITER_SLOTS: 'every writer slot of the flusher is taken',
  /**
   * Something is written after the receiver closed the flusher.
   *
   * **Do**: Close writers first, then the flusher.
   */
  ERR_BUSBAR_FLUSHER_CLOSED: 'the flusher was closed',
  /**
   * A second thread drains a flusher, or the thread that attached to it as a writer does.
   *
   * **Do**: Drain on one thread only. Flushers of links are drained by the links.
   */
  ERR_BUSBAR_FLUSHER_ROLE: 'the flusher already has a receiver',
  /**
   * A reservation is committed or aborted twice, or with numbers that were never reserved.
   *
   * **Do**: A bug of the program: settle each reservation once, with the offset that `reserve`
   * returned.
   */
  ERR_BUSBAR_BAD_RESERVATION: 'no open reservation begins there',
  /**
   * The peer announced, or sent, a frame longer than `maxFrameBytes` or a buffer; or it does not
   * speak this protocol.
   *
   * **Do**: Set a larger limit or `bufferSize` if such frames are right. A client that forgot the
   * length prefix looks the same.
   *
   * **See**: [your first framed server](../../docs/guides/first-server.md).
   */
  ERR_BUSBAR_FRAME_TOO_LARGE: 'the frame is longer than allowed',
  /**
   * The codec rejected what the peer sent; `cause` is what a codec of your own threw.
   *
   * **Do**: The link is closed: the rest of the stream has no meaning. Look at the peer, and at
   * which codec it uses.
   */
  ERR_BUSBAR_FRAME_MALFORMED: 'the bytes are not a frame of this codec',
  /**
   * A frame is taken or measured while there is none: before the first, or after the handler has
   * returned.
   *
   * **Do**: Take it (`takePacket`) within the handler, once.
   */
  ERR_BUSBAR_NO_FRAME: 'the framer has no current frame',
  /**
   * Bytes are given to a framer, or frames taken from it, after `close()`.
   *
   * **Do**: Take what you want to keep before you close it.
   */
  ERR_BUSBAR_FRAMER_CLOSED: 'the framer was closed',
  /**
   * The other side closed the channel, or this end was closed while it waited.
   *
   * **Do**: The normal end of a stream: stop. What you wanted to send is still yours.
   */
  ERR_BUSBAR_CHANNEL_CLOSED: 'the channel was closed',
  /**
   * A second sender or receiver on the single side of an `spsc` or `mpsc` channel, which the text
   * names; a second consumer of a mailbox.
   *
   * **Do**: Use kind `'mpmc'`, or close the first end. A mailbox has one handler or one loop.
   *
   * **See**: [across threads](../../docs/guides/threads.md#what-goes-wrong).
   */
  ERR_BUSBAR_CHANNEL_ROLE: 'this side is taken already',
  /**
   * All senders, or all receivers, ended without closing; nothing will come, or be taken, any
   * more.
   *
   * **Do**: Make the channel with `survives: true` if threads are to come back; or start the other
   * side anew with a new channel.
   *
   * **See**: [restarting a stage](../../docs/guides/threads.md#restarting-a-stage).
   */
  ERR_BUSBAR_CHANNEL_PEER_DIED: 'every thread on the other side of the channel has died',
  /**
   * A thread unlocks, gives back, counts down or finishes what it does not hold, or what was not
   * counted; or it reads the tag of a mutex without the lock.
   *
   * **Do**: A bug of the program: unlock once, in the thread that locked. A guard does that.
   */
  ERR_BUSBAR_NOT_OWNER: 'this thread does not hold what it gives back',
  /**
   * A thread blocks for a lock, or for permits, that it holds itself and could never give back; or,
   * with `BUSBAR_TRACK_LEAKS=1`, threads block for each other's.
   *
   * **Do**: A bug of the program: unlock first, take locks in one order everywhere, or wait with a
   * timeout. With `BUSBAR_TRACK_LEAKS=1` the text says who waits for whom, and where each lock was
   * acquired.
   *
   * **See**: [deadlocks](../../docs/sync.md#deadlocks).
   */
  ERR_BUSBAR_DEADLOCK: 'the wait could never end',
  /**
   * A thread died while it held a mutex, or wrote under an `RwLock`, that was made with
   * `onOwnerDeath: 'poison'`.
   *
   * **Do**: What the lock protects may be half changed: make it anew, with a new lock.
   */
  ERR_BUSBAR_POISONED: 'the thread that held the lock died',
  /**
   * A guard is asked of a semaphore that a thread has disabled.
   *
   * **Do**: Stop: the semaphore is at its end in all threads.
   */
  ERR_BUSBAR_DISABLED: 'the semaphore was disabled',
  /**
   * The executor's module cannot be loaded, exports no `run`, or threw; or a bundle lacks the
   * threads' program.
   *
   * **Do**: Read `cause`. In a bundle see "Bundles" in the README.
   *
   * **See**: [executors](../../docs/executors.md).
   */
  ERR_BUSBAR_EXECUTOR_START: 'an executor could not be started',
  /**
   * An exception left the thread, it ran out of memory, or it called `process.exit`; `cause` says
   * which.
   *
   * **Do**: Mend the cause. With `restart` the group starts another one, which finds the packets
   * that wait.
   *
   * **See**: [restart](../../docs/executors.md#restart).
   */
  ERR_BUSBAR_EXECUTOR_CRASHED: 'an executor ended without an order to stop',
  /**
   * A packet is sent to an executor that has stopped, or the thread that started the group has
   * ended.
   *
   * **Do**: Stop sending before `group.stop()`; what you wanted to send is still yours.
   */
  ERR_BUSBAR_EXECUTOR_STOPPED: 'the executor was stopped',
  /**
   * The handler of a request (`mailbox.respond`) threw or rejected; the text says what. Or the
   * executor's mailbox is read without `respond`.
   *
   * **Do**: Look at the handler. What callers are to tell apart belongs into the reply's bytes.
   *
   * **See**: [requests](../../docs/executors.md#requests).
   */
  ERR_BUSBAR_REQUEST_FAILED: 'the handler of a request failed',
  /**
   * Something is sent by a closed link; or `onClose` is told that an abort or its own handler
   * closed it (`cause`).
   *
   * **Do**: Stop sending when `onClose` was called. If the handler threw, mend the handler.
   */
  ERR_BUSBAR_LINK_CLOSED: 'the link was closed',
  /**
   * A callback such as `onFrame` returned a promise or another value. The bytes are borrowed until
   * it returns: after an `await` they are those of another message. Or an async `handler` returned
   * callbacks.
   *
   * **Do**: Read with `for await (const packet of link)` or `link.handle(async (packet) => …)`,
   * which keep the bytes; or take `takePacket()` and return nothing.
   *
   * **See**: [links by callbacks](../../docs/tour.md#links-by-callbacks).
   */
  ERR_BUSBAR_HANDLER_RESULT: 'a handler of borrowed bytes must return undefined',
  /**
   * The kernel reported an error, such as ECONNRESET; `cause` has it.
   *
   * **Do**: The peer is gone: drop its state, and connect again if it was yours to connect.
   *
   * **See**: [connections come and go](../../docs/links.md#connections-come-and-go).
   */
  ERR_BUSBAR_LINK_FAILED: 'the socket under the link failed',
  /**
   * The peer closed its side before the last frame was complete.
   *
   * **Do**: Discard the rest. Look at the peer: it crashed, or it counts its lengths wrong.
   */
  ERR_BUSBAR_LINK_TRUNCATED: 'the peer ended the stream inside a frame',
  /**
   * Nothing listens there, the port is taken, the name is unknown, or Node's permission model
   * denies the network; `cause.code` says which.
   *
   * **Do**: EADDRINUSE: take another port. ECONNREFUSED: start the server, or let `connect` retry.
   * ERR_ACCESS_DENIED: `--allow-net`.
   *
   * **See**: [connections come and go](../../docs/links.md#connections-come-and-go).
   */
  ERR_BUSBAR_LINK_REFUSED: 'could not connect or listen',
  /**
   * The destination replied that nothing listens at its port (ECONNREFUSED).
   *
   * **Do**: UDP gives no guarantee: count it, and send again later if it matters. The link stays
   * open.
   *
   * **See**: [what goes wrong with UDP](../../docs/guides/udp.md#what-goes-wrong).
   */
  ERR_BUSBAR_DATAGRAM_REFUSED: 'no socket receives datagrams at that address',
  /**
   * The kernel refused the datagram for its length (EMSGSIZE).
   *
   * **Do**: Send shorter messages: 1 200 bytes pass nearly everywhere.
   *
   * **See**: [what goes wrong with UDP](../../docs/guides/udp.md#what-goes-wrong).
   */
  ERR_BUSBAR_DATAGRAM_TOO_LARGE: 'the datagram is longer than the path allows',
  /**
   * The kernel refused it for another reason, which the text names, such as EPERM of a firewall or
   * ENETUNREACH.
   *
   * **Do**: Look at routes and firewall. The link stays open.
   */
  ERR_BUSBAR_DATAGRAM_FAILED: 'the kernel refused the datagram',
  /**
   * A subject is empty, too long, has too many or empty tokens, spaces or controls; a publisher
   * used a wildcard; or a message without a reply subject, since it was published and not
   * requested, is to be answered by `respond`.
   *
   * **Do**: Look at `message.reply` before `respond`. Build subjects of short tokens with dots
   * between. Never let strangers choose them without a check; nothing was sent.
   *
   * **See**: [subjects](../../docs/bus.md#subjects).
   */
  ERR_BUSBAR_BAD_SUBJECT: 'the subject cannot be used',
  /**
   * A request reached no subscriber.
   *
   * **Do**: Start a responder first, or try again later. The answer comes at once: there is no need
   * to wait for the timeout.
   *
   * **See**: [a bus on every core](../../docs/guides/every-core.md#what-goes-wrong).
   */
  ERR_BUSBAR_NO_RESPONDERS: 'nothing subscribes to the subject of the request',
  /**
   * Too many calls of `publish` and `request` wait for room on a bus (`backlogMax`).
   *
   * **Do**: Wait for one call before the next, or publish more slowly. What you wanted to publish
   * is still yours.
   */
  ERR_BUSBAR_BUS_CROWDED: 'too many calls wait to publish',
  /**
   * A bus was closed or is draining, or a subscription ended while something waited for it.
   *
   * **Do**: Nothing, at the end of a program. What you wanted to publish is still yours.
   */
  ERR_BUSBAR_BUS_CLOSED: 'the bus was closed',
  /**
   * A subscription with the policy 'cut-off' had no room for a message.
   *
   * **Do**: Subscribe again, and ask for what was missed; or allow more with `limit`, or choose
   * another policy.
   *
   * **See**: [when a subscriber is slow](../../docs/bus.md#when-a-subscriber-is-slow).
   */
  ERR_BUSBAR_SLOW_SUBSCRIBER: 'the subscription had no room for a message',
  /**
   * A call needs the native shim, and that is not loaded, or the platform lacks the function; the
   * text says why.
   *
   * **Do**: Ask `native.features` first; each reason has its remedy.
   *
   * **See**: [the native shim](../../docs/native.md#installation).
   */
  ERR_BUSBAR_NATIVE_UNAVAILABLE: 'this machine does not support it',
  /**
   * A system call of the shim failed; the text names the step and the error.
   *
   * **Do**: Look the error up: EINVAL of `setAffinity` is a cpu that this process may not use,
   * EACCES of `listen` a port below 1024.
   */
  ERR_BUSBAR_NATIVE_FAILED: 'the kernel refused',
  /**
   * `resume` of `busbar/testing` got something that is not a checkpoint, or one of another
   * scenario, of other options, or of another version of the model checker; the text says which.
   *
   * **Do**: Pass the scenario and the options of the run that wrote it, or explore anew.
   */
  ERR_BUSBAR_BAD_CHECKPOINT: 'the exploration cannot continue from this checkpoint',
} as const;

/** A stable name for what went wrong. */
export type BusbarErrorCode = keyof typeof BUSBAR_ERRORS;

/** Something outside the program's control, or a use that the state of a shared object forbids. */
export class BusbarError extends Error {
  override readonly name: string = 'BusbarError';
  /** Stable; compare this, never the message. */
  readonly code: BusbarErrorCode;
  /** Where the package, and the repository, explain the code, and say what to do. */
  readonly help: string;
  /** What the text says besides the code's own. {@link isOne} looks for it; a proxy has none. */
  readonly #detail: string | undefined;

  /** @internal Unlike `instanceof`, runs no code of the value's. */
  static isOne(value: unknown): value is BusbarError {
    return typeof value === 'object' && value !== null && #detail in value;
  }

  constructor(code: BusbarErrorCode, detail?: string, options?: { readonly cause?: unknown }) {
    super(
      detail === undefined ? BUSBAR_ERRORS[code] : `${BUSBAR_ERRORS[code]}: ${detail}`,
      options,
    );
    this.code = code;
    this.#detail = detail;
    this.help = `busbar/docs/errors.md#${`${code}`.toLowerCase()}`;
  }

  /** @internal An error of the same code that says more, with this one as its cause. */
  saying(more: string): BusbarError {
    const detail = this.#detail === undefined ? more : `${this.#detail}; ${more}`;
    return new BusbarError(this.code, detail, { cause: this });
  }
}

/**
 * Whether a value is a BusbarError, and, if a code is given, one with this code. For any value,
 * also one that another library threw; runs no code of the value's. An error of another copy of
 * busbar, or one that was posted from another thread, is not a BusbarError of this copy.
 *
 * ```ts
 * import { isBusbarError } from 'busbar/errors';
 * import { BufferPool } from 'busbar/pool';
 *
 * const pool = BufferPool.create({ bufferSize: 64, bufferCount: 1 });
 * const only = pool.acquireSync();
 * try {
 *   await pool.acquire({ timeoutMs: 10 });
 * } catch (error) {
 *   if (!isBusbarError(error, 'ERR_BUSBAR_TIMEOUT')) throw error;
 *   console.log('later, perhaps');
 * } finally {
 *   pool.release(only);
 * }
 * ```
 *
 * **Throws** RangeError if the code is not one of {@link BUSBAR_ERRORS}.
 */
export function isBusbarError<Code extends BusbarErrorCode = BusbarErrorCode>(
  error: unknown,
  code?: Code,
): error is BusbarError & { readonly code: Code } {
  if (code !== undefined && !(typeof code === 'string' && Object.hasOwn(BUSBAR_ERRORS, code))) {
    throw new RangeError(`code must be one of BUSBAR_ERRORS, got ${show(code)}`);
  }
  return BusbarError.isOne(error) && (code === undefined || error.code === code);
}

/** The message of anything that was thrown or emitted. Never throws. */
export function messageOf(cause: unknown): string {
  try {
    const message = (cause as { readonly message?: unknown } | null | undefined)?.message;
    return typeof message === 'string' ? message : String(cause);
  } catch {
    return 'a value that cannot be shown';
  }
}
