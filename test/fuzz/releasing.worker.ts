// SPDX-License-Identifier: MIT
/** Fuzz tool: an executor that releases every packet it receives. */
import type { ExecutorContext } from 'busbar/executor';

export function run({ mailbox }: ExecutorContext): void {
  mailbox.handle((packet) => packet.release());
}
