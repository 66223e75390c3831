// SPDX-License-Identifier: MIT
/** How the bytes of a plain socket reach the pool on the engine at hand. */
import type { IngestMode } from '../src/link/index.ts';

/** Bun's sockets have no useUserBuffer, by which a link names the memory to read into. */
export const DIRECT: IngestMode = 'bun' in process.versions ? 'copy' : 'direct';
