// SPDX-License-Identifier: MIT
/** Bugs planted in groups of slots, one at a time: the scenarios of batches find them. */

import { batchParts } from './batch-scenarios.ts';
import type { ChannelModule } from './channel-words.ts';
import { bugsIn, huntAll } from './planted.ts';

const bug = bugsIn('group', 'channel', { isPaired: true });

huntAll(
  'batch',
  [
    bug(
      'followers are not published',
      'slot-ring',
      'this.setFollowers(this.at, 1, count, full);',
      '',
      /^mpsc 2: batch: around/,
    ),
    bug(
      'who passes does not see that the whole group is claimed',
      'slot-ring',
      '(turn & GROUPED) !== 0 && (position & GROUP_MASK) === 0;',
      'false;',
      /^mp.c 4: batch: beside single ones/,
    ),
    bug(
      'followers are not looked at before the claim',
      'slot-ring',
      'if (seen !== turn || loadAcquire(words, at) !== turn) return false;',
      '',
      /^mpsc 2: batch: 2 senders/,
    ),
    bug(
      'a follower by itself is read without order',
      'slot-ring',
      'if (seen !== turn || loadAcquire(words, at) !== turn) return false;',
      'if (seen !== turn) return false;',
      /: batch: singles/,
    ),
    bug(
      'followers of a dead claimant stay as they are',
      'slot-ring',
      '(turn & GROUPED) !== 0 ? GROUP - 1 : 0',
      '0',
      /: batch, death/,
    ),
    bug(
      'mpmc: a group is claimed as a single message',
      'slot-ring',
      'const mine = run > 1 ? this.mine | GROUPED : this.mine;\n      const reading',
      'const mine = this.mine;\n      const reading',
      /^mpmc 4: batch: 2 receivers/,
    ),
    bug(
      'followers are freed after the first',
      'slot-ring',
      'this.setFollowers(at, 1, count, freed);\n      return at;',
      'queueMicrotask(() => this.setFollowers(at, 1, count, freed));\n      return at;',
      /^mpsc 2: batch: around/,
    ),
  ],
  async (load) => {
    const module: ChannelModule = {
      ...(await load<Pick<ChannelModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
      ...(await load<Pick<ChannelModule, 'Packet'>>('packet/index.ts')),
      ...(await load<Pick<ChannelModule, 'PacketChannel' | 'WordChannel'>>('channel/index.ts')),
    };
    return batchParts(module).flatMap(({ cases }) => cases);
  },
);
