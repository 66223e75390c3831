// SPDX-License-Identifier: MIT
/** The fuzzer: an executor that releases what it gets. */
import type { ExecutorContext } from 'busbar/executor';

export function run({ mailbox }: ExecutorContext): void {
  mailbox.handle((packet) => packet.release());
}
