// SPDX-License-Identifier: MIT
/** Makes the kernel read a plain socket's bytes into memory that a link names. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isPlain } from './plain-socket.ts';

/**
 * How received bytes reach the pool.
 *
 * - `direct`: the kernel reads into memory that the link names.
 * - `copy`: Node allocates each chunk, and the link copies it once. For TLS, for streams other than
 *   plain sockets, and on runtimes without the primitive.
 */
export type IngestMode = 'direct' | 'copy';

/**
 * The two callbacks by which a reader names memory to Node; `net.connect` takes them as its option
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

/** The method of a plain socket's handle that makes it read into the given memory. */
interface StreamHandle {
  readonly useUserBuffer: (bytes: Uint8Array) => number;
}

/** Fields through which a socket accepted by Node leaves its server's count when it closes. */
interface Counted {
  _handle: StreamHandle | null;
  server: unknown;
  _server: unknown;
}

/**
 * Replaces an open socket by one that reads into named memory. The new one has the connection; the
 * old one is dead, and its listeners are no longer called.
 *
 * Node takes `onread` only when a socket is constructed, and constructs accepted sockets itself. So
 * this moves the connection's handle to a second socket, as Node's own `cluster` does, and the
 * server's count of connections with it. Works on Node 20 to 26.
 *
 * Returns undefined, and leaves the old socket untouched, if that is not possible: if it is not a
 * plain open socket, if bytes are buffered in either direction, or if the runtime has no such
 * primitive.
 */
export function rewire(socket: Duplex, target: ReadTarget): Socket | undefined {
  if (!isPlain(socket)) return undefined;
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

/** Whether a socket opened with the option `onread` honours it. */
export function readsInto(socket: Socket): boolean {
  return canReadInto((socket as Socket & Counted)._handle);
}

function canReadInto(handle: StreamHandle | null | undefined): handle is StreamHandle {
  return typeof handle?.useUserBuffer === 'function';
}
