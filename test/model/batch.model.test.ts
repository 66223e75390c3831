// SPDX-License-Identifier: MIT
/** Batches on channels of many senders under the model checker, in groups of two slots. */

import { batchParts } from './batch-scenarios.ts';
import type { ChannelModule } from './channel-words.ts';
import { exploreAll } from './coverage.ts';
import { paired } from './shrunk.ts';

const module: ChannelModule = {
  ...(await paired<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
  ...(await paired<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
  ...(await paired<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
};

exploreAll('batch', batchParts(module));
