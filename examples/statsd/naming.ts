// SPDX-License-Identifier: MIT
/**
 * Example statsd: which names and tags are one metric.
 *
 * Graphite keeps one number for a series and a second: of two with the same name the first would be
 * lost. So what would have one name there is one metric from the beginning: counters add up, of
 * gauges the last one counts, values of timers and members of sets are put together.
 */

export interface Naming {
  name(name: string): string;
  /** In an order that is always the same, none twice. */
  tags(tags: readonly string[]): readonly string[];
}

/** As they came. Tags are a set: their order, and one given twice, make no difference. */
export const AS_THEY_CAME: Naming = {
  name: (name) => name,
  tags: (tags) => [...new Set(tags)].sort(),
};

/**
 * What Graphite takes. In names spaces become `_`, slashes `-`, other characters than letters,
 * digits, `_`, `-` and the dots between the parts go away, and a part that is empty becomes `_`.
 * Each tag becomes `key:value`, both of them not empty; a key that comes twice has both values,
 * sorted, with a comma between them, which no value has of its own.
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

/** A tag without a value is `true`; the key `name` would be the metric's own name. */
function graphiteTag(tag: string): readonly [key: string, value: string] {
  const colon = tag.indexOf(':');
  const key = (colon < 0 ? tag : tag.slice(0, colon)).replace(/[;!^=\s]/g, '_') || '_';
  const value = colon < 0 ? 'true' : tag.slice(colon + 1).replace(/[;~\s]/g, '_') || 'none';
  return [key === 'name' ? 'name_' : key, value];
}
