// SPDX-License-Identifier: MIT
/** `LargeFrame`: the frame that a framer delivers in parts, because no buffer holds it. */

/** `rest` until an end mark is found. */
export const UNKNOWN = -1;

/**
 *   rest = 0 ──begin──▶ rest ≠ 0 ──next──▶ … ──next, rest 0: the last part is current──end──▶
 *
 * Its bytes lie in no buffer of its own: what was delivered is gone.
 */
export class LargeFrame {
  /** The framer's `u32` between such frames. */
  readonly u32: number = 0;
  /** Bytes of payload before the current part. */
  position: number = 0;
  /** Bytes of payload after the current part; UNKNOWN. */
  rest: number = 0;
  /** Bytes after the payload. */
  trim: number = 0;
  private until: number = 0;

  constructor(u32: number) {
    this.u32 = u32;
  }

  /** Whether more parts are to come. */
  get isOpen(): boolean {
    return this.rest !== 0;
  }

  begin(rest: number, trim: number): void {
    this.rest = rest;
    this.trim = trim;
  }

  /** The next part is current: `count` bytes of payload, `rest` after them. */
  next(count: number, rest: number): void {
    this.position = this.until;
    this.until += count;
    this.rest = rest;
  }

  end(): void {
    this.position = this.until = this.rest = 0;
  }
}
