// SPDX-License-Identifier: MIT
/** Subjects that a bus has published to lately, each checked and prepared once. */

import { encodeText } from '../base/bytes.ts';
import { PreparedSubject, type SubjectLimits, subjectBytes } from './prepared-subject.ts';
import type { SubscriptionIndex } from './subscription-index.ts';
import type { Indexed } from './token-tree.ts';

/** With more subjects, all are forgotten. */
const COUNT_MAX = 4096;

/** A bounded cache of prepared subjects by their text. */
export class PreparedSubjects<S extends Indexed, Beyond = undefined> {
  readonly #index: SubscriptionIndex<S, Beyond>;
  readonly #limits: SubjectLimits;
  readonly #known: Map<string, PreparedSubject<S, Beyond>> = new Map();

  constructor(index: SubscriptionIndex<S, Beyond>, limits: SubjectLimits) {
    this.#index = index;
    this.#limits = limits;
  }

  /** The subject of a text. **Throws** TypeError, ERR_BUSBAR_BAD_SUBJECT. */
  get(text: string): PreparedSubject<S, Beyond> {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const bytes = subjectBytes(text, this.#limits, false);
    const prepared = new PreparedSubject(text, bytes, this.#index);
    // Inboxes are used once.
    if (prepared.isInbox) return prepared;
    if (this.#known.size >= COUNT_MAX) this.#known.clear();
    this.#known.set(text, prepared);
    return prepared;
  }

  /** The subject of a text that a peer has checked. */
  ofPeer(text: string): PreparedSubject<S, Beyond> {
    return this.#known.get(text) ?? new PreparedSubject(text, encodeText(text), this.#index);
  }

  clear(): void {
    this.#known.clear();
  }
}
