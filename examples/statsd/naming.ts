// SPDX-License-Identifier: MIT
/**
 * Example statsd: which names and tags are one metric.
 *
 * Graphite keeps one number per series and second: of two with the same name it would lose the
 * first. So metrics that would have the same name there are merged: counters add up, the last value
 * of a gauge counts, values of timers and members of sets are united.
 */

export interface Naming {
  name(name: string): string;
  /** Sorted, without duplicates. */
  tags(tags: readonly string[]): readonly string[];
}

/** Names as received. Tags are a set: order and repetition make no difference. */
export const AS_THEY_CAME: Naming = {
  name: (name) => name,
  tags: (tags) => [...new Set(tags)].sort(),
};

/**
 * Names for Graphite. In names spaces become `_`, slashes become `-`, characters other than
 * letters, digits, `_`, `-` and the dots between parts are removed, and an empty part becomes `_`.
 * Each tag becomes `key:value`, neither of them empty; a repeated key gets all its values, sorted
 * and separated by commas, which no value contains.
 */
export const FOR_GRAPHITE: Naming = {
  name: (name) =>
    name
      .replace(/\s+/g, '_')
      .replace(/\//g, '-')
      .replace(/[^\w.-]/g, '')
      .split('.')
      .map((part) => part || '_')
      .join('.'),
  tags: (tags) => {
    const byKey: Map<string, Set<string>> = new Map();
    for (const tag of tags) {
      const [key, value] = graphiteTag(tag);
      byKey.set(key, (byKey.get(key) ?? new Set()).add(value));
    }
    return [...byKey].map(([key, values]) => `${key}:${[...values].sort().join(',')}`).sort();
  },
};

/** A tag without a value gets `true`. The key `name` is reserved for the metric's own name. */
function graphiteTag(tag: string): readonly [key: string, value: string] {
  const colon = tag.indexOf(':');
  const key = (colon < 0 ? tag : tag.slice(0, colon)).replace(/[;!^=\s]/g, '_') || '_';
  const value = colon < 0 ? 'true' : tag.slice(colon + 1).replace(/[;~\s]/g, '_') || 'none';
  return [key === 'name' ? 'name_' : key, value];
}
