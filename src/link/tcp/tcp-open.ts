// SPDX-License-Identifier: MIT
/** Opens or takes over a stream for a link, so that the kernel reads into the pool if possible. */

import type { Duplex } from 'node:stream';
import type { BufferAllowance } from '../../framer/buffer-allowance.ts';
import type { BufferPool } from '../../pool/index.ts';
import type { Intake } from './intake.ts';
import { type IngestMode, readsInto, rewire } from './read-target.ts';
import { openSocket, type TcpAddress } from './tcp-connect.ts';
import { makeIntake, type ResolvedTcpOptions } from './tcp-options.ts';

/** A stream, and the intake that reads it. */
export interface OpenStream {
  readonly socket: Duplex;
  readonly intake: Intake;
  readonly ingest: IngestMode;
}

/** Connects, and calls `make` before anything is read. **Throws** (rejects) what either throws. */
export function openStream<L, T>(
  pool: BufferPool,
  address: TcpAddress,
  options: ResolvedTcpOptions<L>,
  make: (stream: OpenStream) => T,
): Promise<T> {
  const intake = makeIntake(pool, options);
  const target = options.ingest === 'direct' ? intake.target : undefined;
  return openSocket(address, target, options.signal, (socket) => {
    const ingest = target !== undefined && readsInto(socket) ? 'direct' : 'copy';
    return make({ socket, intake, ingest });
  });
}

/**
 * Takes over an open stream; a plain socket is replaced by another one on the same connection. If
 * this **throws**, as the `codec` option may, the stream is destroyed.
 */
export function takeStream<L>(
  pool: BufferPool,
  socket: Duplex,
  options: ResolvedTcpOptions<L>,
  allowance: BufferAllowance | undefined,
): OpenStream {
  try {
    const intake = makeIntake(pool, options, allowance);
    const rewired = options.ingest === 'direct' ? rewire(socket, intake.target) : undefined;
    if (rewired !== undefined) return { socket: rewired, intake, ingest: 'direct' };
    socket.allowHalfOpen = true;
    return { socket, intake, ingest: 'copy' };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
