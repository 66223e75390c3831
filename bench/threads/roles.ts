// SPDX-License-Identifier: MIT
/** Every role that a thread of a case can play, by its name. */

import {
  createPortEcho,
  createPortPinger,
  createPortSink,
  createPortSource,
} from './baseline-ports.ts';
import { createRingSource } from './baseline-ring.ts';
import {
  createPacketBatchSource,
  createPacketSource,
  createSpinningEcho,
  createTurningEcho,
  createTurningSink,
} from './channel-packets.ts';
import { createWordConsumer, createWordProducer } from './channel-words.ts';
import { createIdRingSource } from './id-ring.ts';
import { createLineEcho, createLineWriter } from './line-transfer.ts';
import { createPlainRingSource } from './plain-ring.ts';
import type { Role, RoleMaker } from './role.ts';
import { createNumberProducer, createShortNumberProducer } from './shared-nothing.ts';
import { createAtomicsPartner, createPeerLocker, createPeerPartner } from './sync-peers.ts';
import { createEventPartner, createLocker, createLockReader, createPartner } from './sync-roles.ts';
import { createRsmThread } from './sync-rsm.ts';

const makers: Readonly<Record<string, RoleMaker>> = {
  'atomics-partner': createAtomicsPartner,
  'id-ring-source': createIdRingSource,
  'line-echo': createLineEcho,
  'line-writer': createLineWriter,
  locker: createLocker,
  lockReader: createLockReader,
  'number-producer': createNumberProducer,
  'packet-batch-source': createPacketBatchSource,
  'packet-source': createPacketSource,
  'event-partner': createEventPartner,
  partner: createPartner,
  'peer-locker': createPeerLocker,
  'peer-partner': createPeerPartner,
  'plain-ring-source': createPlainRingSource,
  'port-echo': createPortEcho,
  'port-pinger': createPortPinger,
  'port-sink': createPortSink,
  'port-source': createPortSource,
  'ring-source': createRingSource,
  rsm: createRsmThread,
  'short-number-producer': createShortNumberProducer,
  'spinning-echo': createSpinningEcho,
  'turning-echo': createTurningEcho,
  'turning-sink': createTurningSink,
  'word-consumer': createWordConsumer,
  'word-producer': createWordProducer,
};

/** The role called `name`, made of what the case gave for it. */
export async function createRole(name: string, data: unknown): Promise<Role> {
  const make = makers[name];
  if (make === undefined) throw new RangeError(`there is no role called ${name}`);
  return make(data as never);
}
