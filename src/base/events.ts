// SPDX-License-Identifier: MIT
/**
 * Events that are rare, for `node:diagnostics_channel`. Nothing is made while no one listens:
 *
 *   if (accepted.hasSubscribers) publish(accepted, { server, link });
 */

import { afterThis } from './turn.ts';

/** Those of Node, as far as they are needed. */
export interface EventChannel {
  readonly hasSubscribers: boolean;
  publish(message: object): void;
}

interface Diagnostics {
  channel(name: string): EventChannel;
}

/** Node's modules if there are any: the core does not depend on Node. */
const host = globalThis as {
  readonly process?: { getBuiltinModule?(name: string): Diagnostics | undefined };
};

const SILENT: EventChannel = { hasSubscribers: false, publish: () => {} };

/** The channel of that name; one without subscribers where there is no Node. */
export function eventChannel(name: string): EventChannel {
  const diagnostics = host.process?.getBuiltinModule?.('node:diagnostics_channel');
  return diagnostics?.channel(name) ?? SILENT;
}

/** Publishes when the running code has returned: subscribers run within no call of busbar. */
export function publish(channel: EventChannel, message: object): void {
  afterThis(() => channel.publish(message));
}
