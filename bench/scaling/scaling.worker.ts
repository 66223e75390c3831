// SPDX-License-Identifier: MIT
/** The module of the executors in the scaling measurement: sends messages, and reads what comes. */

import type { PacketSender } from 'busbar/channel';
import type { ExecutorContext } from 'busbar/executor';
import { NO_BUFFER } from 'busbar/pool';
import { checkMessage, MESSAGE_BYTES, nextNumber, writeMessage } from '../threads/message.ts';
import { report, type ScalingData, type Traffic } from './scaling-work.ts';

/** Messages to each target in one pass of the executor's loop. */
const BATCH = 64;

export function run(context: ExecutorContext): void {
  const { index, mailbox, pool } = context;
  const { progress, traffic } = context.data as ScalingData;
  const targets = targetsOf(context, traffic);
  /** The number of the next message, by lane. */
  const nextTo = new Int32Array(targets.length);
  const nextFrom = new Int32Array(context.count + 1);
  let handled = 0;
  mailbox.handleRegions((bufferId, offset, _length, from) => {
    checkMessage(pool.view, offset, nextFrom[from]);
    nextFrom[from] = nextNumber(nextFrom[from]);
    pool.release(bufferId);
    handled = (handled + 1) | 0;
  });
  const stop = context.poll(() => {
    report(progress, index, handled);
    let sent = 0;
    for (const [i, target] of targets.entries()) {
      for (let k = 0; k < BATCH; k++, sent++) {
        const id = pool.tryAcquire();
        if (id === NO_BUFFER) return sent;
        const offset = pool.offsetOf(id);
        writeMessage(pool.view, offset, nextTo[i]);
        if (!target.trySendRegion(id, offset, MESSAGE_BYTES)) {
          pool.release(id);
          break;
        }
        nextTo[i] = nextNumber(nextTo[i]);
      }
    }
    return sent;
  });
  context.signal.addEventListener('abort', stop);
}

function targetsOf({ count, index, peer }: ExecutorContext, traffic: Traffic): PacketSender[] {
  if (traffic === 'independent' || count === 1) return [peer(index)];
  const others: PacketSender[] = [];
  // Each begins with another one, so that not all send to the same at once.
  for (let step = 1; step < count; step++) others.push(peer((index + step) % count));
  return others;
}
