// SPDX-License-Identifier: MIT
/** Bugs in carriers, attach and reclaim that only deaths reveal, planted one at a time. */

import { type CarrierModule, carrierParts } from './carrier-scenarios.ts';
import { bugsIn, huntAll } from './planted.ts';

const bug = bugsIn('carriers', 'pool', { isShrunk: true });

huntAll(
  'carriers',
  [
    bug(
      'an entry is free before its pages are',
      'carriers',
      '  storeRelease(words, at + READY, 0);\n',
      '  storeRelease(words, at + READY, 0);\n  storeRelease(words, at + OWNER, 0);\n',
      /^death: carrier of one/,
    ),
    bug(
      'a sweep leaves the packets of the dead',
      'carriers',
      '      eachPacket(words, at, (_lane, index) => takeOut(index));\n',
      '',
      /^death: carrier of one/,
    ),
    bug(
      'the stripe that a dead thread had claimed stays claimed',
      'reclaim',
      '  rebuildClaimedStripe(self, slot);\n',
      '',
      /^death: attach, detach$/,
    ),
  ],
  async (load) =>
    carrierParts({
      ...(await load<Pick<CarrierModule, 'BufferPool' | 'NO_BUFFER'>>('pool/index.ts')),
      ...(await load<Pick<CarrierModule, 'PoolLayout'>>('pool/pool-layout.ts')),
      ...(await load<Pick<CarrierModule, 'ENTRY_COUNT'>>('pool/carrier-layout.ts')),
    }).flatMap(({ cases }) => cases),
);
