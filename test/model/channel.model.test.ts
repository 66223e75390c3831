// SPDX-License-Identifier: MIT
/** Channels under the model checker. */

import { channelParts } from './channel-scenarios.ts';
import type { ChannelModule } from './channel-words.ts';
import { exploreAll } from './coverage.ts';
import { channelExceptionParts } from './exception-scenarios.ts';
import { mortal } from './mortal.ts';

const module: ChannelModule = {
  ...(await mortal<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
  ...(await mortal<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
  ...(await mortal<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
};

exploreAll('channel', [...channelParts(module), ...channelExceptionParts(module)]);
