// SPDX-License-Identifier: MIT
/** What one peer has sent, for the streams in both directions. */

/** What has come from a peer, as both streams see it. */
export class Ledger {
  /** Epoch of the peer that sends; 0: none, and what comes is released. */
  teller: number = 0;
  /** Modulo 2³². */
  regions: number = 0;
  bytes: number = 0;
  interests: number = 0;
  /** Number of the last FENCE. */
  fence: number = 0;
}
