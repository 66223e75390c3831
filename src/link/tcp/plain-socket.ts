// SPDX-License-Identifier: MIT
/** Plain sockets of `node:net`, and their descriptors. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A socket with Node's internal handle. */
export type HandledSocket = Socket & {
  readonly _handle: { readonly fd?: number; readonly writeQueueSize?: number } | null;
};

/** Whether it is a plain socket, which sends bytes unchanged; a subclass, as for TLS, may not. */
export function isPlain(socket: Duplex): socket is Socket {
  return Object.getPrototypeOf(socket) === Socket.prototype;
}

/**
 * The descriptor of a plain socket, if bytes may be written past its stream: it is connected and
 * open, holds no bytes that would be overtaken, and has no idle timer that each write restarts.
 * Otherwise −1.
 *
 * Call it for each write: a socket that tries several addresses changes its descriptor.
 */
export function openDescriptor(socket: Socket): number {
  if (socket.connecting || socket.destroyed || socket.writableEnded) return -1;
  if (socket.writableLength > 0 || socket.timeout) return -1;
  return (socket as HandledSocket)._handle?.fd ?? -1;
}
