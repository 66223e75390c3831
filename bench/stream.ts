// SPDX-License-Identifier: MIT
/** The byte stream that all framer cases decode, and the fake socket that they read it from. */

/** Bytes in the little-endian length prefix; it counts the payload alone. */
export const PREFIX_BYTES = 4;
export const PAYLOAD_BYTES = 60;
export const FRAME_BYTES: number = PREFIX_BYTES + PAYLOAD_BYTES;
/** What one read of a socket delivers at most. */
export const READ_BYTES = 65_536;
/**
 * Reads until the stream repeats: 256 KiB, which a second-level cache holds as it holds what a
 * kernel just received.
 */
const READS = 4;
export const STREAM_BYTES: number = READS * READ_BYTES;
export const STREAM_FRAMES: number = STREAM_BYTES / FRAME_BYTES;
/**
 * The stream starts this far into a frame, so that a frame straddles the end of every read. A
 * multiple of eight: what is not aligned alike V8 copies into shared memory byte by byte, 22 ns a
 * frame, which a kernel does not, so that would measure V8's copy instead of the framer.
 */
const PHASE_BYTES = 24;

/**
 * An endless stream of frames, each with its number modulo {@link STREAM_FRAMES} as the first word
 * of the payload.
 *
 * **Cost.** `read` copies, as the kernel does. Every framer case reads in this way, so all of them
 * carry the same cost.
 */
export class FrameSource {
  readonly #stream: Uint8Array = frameStream();
  /** Starts where the next byte is the first one of a frame. */
  #position = FRAME_BYTES - PHASE_BYTES;

  /**
   * Copies the next bytes of the stream, at most `size` and at most {@link READ_BYTES}; returns
   * how many.
   */
  read(target: Uint8Array, offset: number, size: number): number {
    const begin = this.#position;
    const end = Math.min(begin + Math.min(size, READ_BYTES), STREAM_BYTES);
    target.set(this.#stream.subarray(begin, end), offset);
    this.#position = end === STREAM_BYTES ? 0 : end;
    return end - begin;
  }
}

/**
 * Checks the sum, modulo 2³², of the first words of `frames` payloads in a row; `frames` is a
 * multiple of
 * {@link STREAM_FRAMES}. Returns it. **Throws** when frames were lost, doubled or cut in the wrong
 * place.
 */
export function checkSum(sum: number, frames: number): number {
  const expected = (frames / STREAM_FRAMES) * ((STREAM_FRAMES * (STREAM_FRAMES - 1)) / 2);
  if (sum !== (expected | 0)) throw new Error(`the frames add up to ${sum}, not to ${expected}`);
  return sum;
}

function frameStream(): Uint8Array {
  const frames = new Uint8Array(STREAM_BYTES);
  const view = new DataView(frames.buffer);
  for (let i = 0; i < STREAM_FRAMES; i++) {
    const offset = i * FRAME_BYTES;
    view.setUint32(offset, PAYLOAD_BYTES, true);
    view.setUint32(offset + PREFIX_BYTES, i, true);
    frames.fill(i & 0xff, offset + PREFIX_BYTES + 4, offset + FRAME_BYTES);
  }
  const rotated = new Uint8Array(STREAM_BYTES);
  rotated.set(frames.subarray(PHASE_BYTES));
  rotated.set(frames.subarray(0, PHASE_BYTES), STREAM_BYTES - PHASE_BYTES);
  return rotated;
}
