// SPDX-License-Identifier: MIT
/** Shared words of the writing and the draining thread of `writer/thread-to-flusher-60B`. */

import type { BufferPoolHandle } from 'busbar/pool';
import type { WriteFlusherHandle } from 'busbar/writer';

/** The size that bab's own benchmark uses. */
export const BUFFER_SIZE = 8192;
export const MESSAGE_BYTES = 60;
export const MESSAGES_PER_FLUSH = 1000;
/** The content of all messages. */
export const FILL = 7;

/** Counts up when the writing thread is to begin: it waits on this word. */
export const WORD_TURN = 64;
/** How many messages to write; negative: end. Written before WORD_TURN. */
export const WORD_MESSAGES = 128;
/** Not zero: the writing thread has thrown. */
export const WORD_FAILED = 192;

export interface WriterThreadData {
  readonly pool: BufferPoolHandle;
  readonly flusher: WriteFlusherHandle;
  readonly control: Int32Array<SharedArrayBuffer>;
}
