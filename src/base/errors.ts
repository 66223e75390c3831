// SPDX-License-Identifier: MIT
/** BusbarError and the table of its codes: everything that the outside world can do to us. */

/** Every code with what it means. Codes are stable; texts are not. */
export const BUSBAR_ERRORS = {
  ERR_BUSBAR_POOL_CLOSED: 'the pool was closed',
  ERR_BUSBAR_POOL_EXHAUSTED: 'no buffer is free now',
  ERR_BUSBAR_TIMEOUT: 'the wait took longer than its timeout',
  ERR_BUSBAR_NOT_HELD: 'this thread holds no reference on the buffer',
  ERR_BUSBAR_PACKET_RELEASED: 'the packet was used after its release',
  ERR_BUSBAR_BAD_SEND_PACKET: 'the words do not describe a packet in transit in this pool',
  ERR_BUSBAR_BAD_HANDLE: 'the value is not a handle of the expected kind and version',
  ERR_BUSBAR_THREAD_SLOTS: 'every thread slot of the pool is taken',
  ERR_BUSBAR_THREAD_ALIVE: 'the thread is not known to be dead',
  ERR_BUSBAR_DETACHED: 'this thread has detached from the pool',
  ERR_BUSBAR_BUFFERS_HELD: 'the thread still holds buffers',
  ERR_BUSBAR_REFERENCES: 'too many references on one buffer',
  ERR_BUSBAR_MESSAGE_TOO_LARGE: 'the message does not fit a buffer',
  ERR_BUSBAR_WRITER_CLOSED: 'the writer was closed',
  ERR_BUSBAR_WRITER_SLOTS: 'every writer slot of the flusher is taken',
  ERR_BUSBAR_FLUSHER_CLOSED: 'the flusher was closed',
  ERR_BUSBAR_FLUSHER_ROLE: 'the flusher already has a receiver',
  ERR_BUSBAR_BAD_RESERVATION: 'no open reservation begins there',
  ERR_BUSBAR_FRAME_TOO_LARGE: 'the frame is longer than allowed',
  ERR_BUSBAR_FRAME_MALFORMED: 'the bytes are not a frame of this codec',
  ERR_BUSBAR_NO_FRAME: 'the framer has no current frame',
  ERR_BUSBAR_FRAMER_CLOSED: 'the framer was closed',
  ERR_BUSBAR_CHANNEL_CLOSED: 'the channel was closed',
  ERR_BUSBAR_CHANNEL_ROLE: 'the channel already has a living thread on that side',
  ERR_BUSBAR_CHANNEL_PEER_DIED: 'every thread on the other side of the channel has died',
  ERR_BUSBAR_EXECUTOR_START: 'an executor could not be started',
  ERR_BUSBAR_EXECUTOR_CRASHED: 'an executor ended without an order to stop',
  ERR_BUSBAR_EXECUTOR_STOPPED: 'the executor was stopped',
  ERR_BUSBAR_LINK_CLOSED: 'the link was closed',
  ERR_BUSBAR_LINK_FAILED: 'the socket under the link failed',
  ERR_BUSBAR_LINK_TRUNCATED: 'the peer ended the stream inside a frame',
  ERR_BUSBAR_LINK_REFUSED: 'could not connect or listen',
  ERR_BUSBAR_DATAGRAM_REFUSED: 'no socket receives datagrams at that address',
  ERR_BUSBAR_DATAGRAM_TOO_LARGE: 'the datagram is longer than the path allows',
  ERR_BUSBAR_DATAGRAM_FAILED: 'the kernel refused the datagram',
  ERR_BUSBAR_NATIVE_UNAVAILABLE: 'this machine does not support it',
  ERR_BUSBAR_NATIVE_FAILED: 'the kernel refused',
} as const;

/** A stable name for what went wrong. */
export type BusbarErrorCode = keyof typeof BUSBAR_ERRORS;

/** Something outside the program's control, or a use that the state of a shared object forbids. */
export class BusbarError extends Error {
  override readonly name: string = 'BusbarError';
  /** Stable; compare this, never the message. */
  readonly code: BusbarErrorCode;
  /** What {@link isOne} looks for; a proxy does not have it. */
  readonly #brand = true;

  /** @internal Unlike `instanceof`, runs no code of the value's. */
  static isOne(value: unknown): value is BusbarError {
    return typeof value === 'object' && value !== null && #brand in value;
  }

  constructor(code: BusbarErrorCode, detail?: string, options?: { readonly cause?: unknown }) {
    super(
      detail === undefined ? BUSBAR_ERRORS[code] : `${BUSBAR_ERRORS[code]}: ${detail}`,
      options,
    );
    this.code = code;
  }
}

/** The message of anything that was thrown or emitted. Never throws. */
export function messageOf(cause: unknown): string {
  try {
    const { message } = cause as { readonly message?: unknown };
    return typeof message === 'string' ? message : String(cause);
  } catch {
    return 'a value that cannot be shown';
  }
}
