// SPDX-License-Identifier: MIT
/** The fuzzer: all of its targets. */
import { codecs } from './codecs.ts';
import { framing } from './framing.ts';
import type { FuzzTarget } from './target.ts';

export const TARGETS: readonly FuzzTarget[] = [codecs, framing];
