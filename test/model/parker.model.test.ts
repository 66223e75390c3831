// SPDX-License-Identifier: MIT
/** The parker under the model checker. */

import { exploreAll } from './coverage.ts';
import { mortal } from './mortal.ts';
import { type ParkerModule, parkerParts } from './parker-scenarios.ts';

exploreAll('parker', parkerParts(await mortal<ParkerModule>('base/parker.ts')));
