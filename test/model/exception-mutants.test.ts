// SPDX-License-Identifier: MIT
/**
 * Bugs in the pool that only throwing calls reveal, planted one at a time: the model checker finds
 * them.
 */

import { poolExceptionParts } from './exception-scenarios.ts';
import { huntAll } from './planted.ts';
import type { PoolModule } from './pool-words.ts';

huntAll(
  'exception',
  [
    {
      what: 'pool: a reference is given away before the last call that can throw',
      entry: 'pool/buffer-references.ts',
      from: 'if (!this.isRegion(id, offset, length)) this.throwRegion(id, offset, length);',
      to:
        'words[at] = refs - 1;\n    ' +
        'if (!this.isRegion(id, offset, length)) this.throwRegion(id, offset, length);',
      scenarios: /^exception: moveInto, moveFrom$/,
    },
  ],
  async (load) =>
    poolExceptionParts(await load<PoolModule>('pool/index.ts')).flatMap(({ cases }) => cases),
);
