// SPDX-License-Identifier: MIT
/** The owner of an inbox that is tested without a link: open, read, and never failed. */
import type { InboxOwner } from '../../src/link/inbox.ts';

export const INBOX_OWNER: InboxOwner = {
  hold: () => {},
  // As a link does: from a microtask, so that reading needs stack for that.
  endHold: () => queueMicrotask(() => {}),
  isPaused: () => false,
  endTaken: () => {},
  error: () => undefined,
  keepsRest: () => false,
};
