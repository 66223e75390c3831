// SPDX-License-Identifier: MIT
/** `busbar/bus`: publish and subscribe by subject, and the parts of brokers of one's own. */
/// <reference types="node" preserve="true" />

export { KeyedHash } from './keyed-hash.ts';
export { KeyedMap } from './keyed-map.ts';
export { MatchCache } from './match-cache.ts';
export { MatchSet } from './match-set.ts';
export { QueueName, QueueNames } from './queue-names.ts';
export {
  type Bytes,
  classifySubject,
  countTokens,
  hashSubject,
  mixSubjectWord,
  SUBJECT_INVALID,
  SUBJECT_LITERAL,
  SUBJECT_WILDCARD,
} from './subject.ts';
export {
  costOf,
  type Rememberer,
  SUBSCRIPTION_BYTES,
  SubscriptionIndex,
  type Surroundings,
} from './subscription-index.ts';
export type { Indexed } from './token-tree.ts';
export { TokenNode, TokenTree } from './token-tree.ts';
