// SPDX-License-Identifier: MIT
/** The module of the executors in the group cases. */

import type { ExecutorContext } from 'busbar/executor';
import { Reader, type WorkData } from './group-work.ts';
import { checkMessage, nextNumber } from './message.ts';

export function run(context: ExecutorContext): void {
  const { kind, progress } = context.data as WorkData;
  const { mailbox, pool, host } = context;
  if (kind === 'echo') {
    let number = 0;
    mailbox.handleRegions((bufferId, offset, length) => {
      checkMessage(pool.view, offset, number);
      number = nextNumber(number);
      while (!host.trySendRegion(bufferId, offset, length));
    });
    return;
  }
  const reader = new Reader(pool, progress, context.index);
  if (kind === 'keyed-messages') mailbox.handleRegions((id, at) => reader.takeKeyed(id, at));
  else if (kind === 'all-messages') mailbox.handleRegions((id, at) => reader.takeNext(id, at));
  else mailbox.handleRegions((id, at) => reader.takeNumber(id, at));
}
