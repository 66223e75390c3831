// SPDX-License-Identifier: MIT
/** The buffer pool under the model checker. */

import * as poolModule from '../../src/pool/index.ts';
import { exploreAll } from './coverage.ts';
import { poolExceptionParts } from './exception-scenarios.ts';
import { mortal } from './mortal.ts';
import { deathParts } from './pool-death-scenarios.ts';
import { livingParts } from './pool-scenarios.ts';
import type { PoolModule } from './pool-words.ts';

const module = await mortal<PoolModule>('pool/index.ts');

exploreAll('pool', [
  ...livingParts(poolModule as unknown as PoolModule),
  ...deathParts(module),
  ...poolExceptionParts(module),
]);
