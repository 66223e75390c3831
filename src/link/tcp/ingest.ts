// SPDX-License-Identifier: MIT
/** The socket's end of the way: who chooses the memory that the kernel reads into. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * How received bytes reach the pool.
 *
 * - `direct`: the kernel reads into memory that the link names.
 * - `copy`: Node allocates each chunk, the link copies it once. So for TLS, for streams that are no
 *   plain socket, and for
 *   runtimes without the primitive.
 */
export type IngestMode = 'direct' | 'copy';

/**
 * The two calls in which Node lets a reader name memory; `net.connect` takes them as its option
 * `onread`.
 */
export interface ReadTarget {
  /**
   * Names the memory of the next read. Called when the socket is opened and after each `callback`.
   */
  buffer(): Uint8Array;
  /** `count` bytes have arrived there. False stops reading until `socket.resume()`. */
  callback(count: number, bytes: Uint8Array): boolean;
}

/** What a plain socket's handle must have for reads into memory that we name. */
interface StreamHandle {
  readonly useUserBuffer: (bytes: Uint8Array) => number;
}

/** A socket that Node accepted counts itself out of its server through these when it closes. */
interface Counted {
  _handle: StreamHandle | null;
  server: unknown;
  _server: unknown;
}

/**
 * Exchanges an open socket for one that reads into named memory; both share the connection, the old
 * one is dead.
 *
 * Node takes `onread` only when a socket is constructed, and constructs accepted sockets itself. So
 * the connection's handle moves to a second socket, as Node's own `cluster` does it; the server's
 * count of connections moves along. Holds on Node 20 to 26. Listeners of the old socket are not
 * called any more.
 *
 * Returns undefined where that is not possible: something else than a plain open socket, bytes
 * already buffered in it in either direction, or a runtime without the primitive. The old socket is
 * untouched then.
 */
export function rewire(socket: Duplex, target: ReadTarget): Socket | undefined {
  if (Object.getPrototypeOf(socket) !== Socket.prototype) return undefined;
  const old = socket as Socket & Counted;
  const handle = old._handle;
  if (!canReadInto(handle)) return undefined;
  if (old.connecting || old.destroyed || old.readableEnded || old.writableEnded) return undefined;
  if (old.readableLength > 0 || old.writableLength > 0) return undefined;
  const server = old._server;
  old._handle = null;
  old._server = null;
  old.server = null;
  const rewired = new Socket({
    handle,
    allowHalfOpen: true,
    onread: target,
  } as ConstructorParameters<typeof Socket>[0] & { handle: StreamHandle }) as Socket & Counted;
  rewired._server = server;
  rewired.server = server;
  return rewired;
}

/** Whether a socket that was opened with the option `onread` honours it. */
export function readsInto(socket: Socket): boolean {
  return canReadInto((socket as Socket & Counted)._handle);
}

function canReadInto(handle: StreamHandle | null | undefined): handle is StreamHandle {
  return typeof handle?.useUserBuffer === 'function';
}
