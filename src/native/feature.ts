// SPDX-License-Identifier: MIT
/** The executor's foundation: what is said of anything that not all machines have. */

/** Whether something can be had, and if not, why. */
export interface Feature {
  readonly available: boolean;
  /** One sentence for people; '' when available. */
  readonly reason: string;
}
