// SPDX-License-Identifier: MIT
/** Test tool: reads and writes the transcripts of links. */
import { linkKinds } from '../kinds.ts';

/**
 * Commands that are given in one turn of the event loop, and what was seen until nothing happened
 * any more.
 *
 *   # A comment, before the commands.
 *   near write 0-2 100
 *   near close
 *   ----
 *   streams:
 *     near: wrote 0-2, closing resolved, onClose
 *     far: message 0-2, onEnd, onClose
 *   messages:
 *     …
 *
 * `all`, `streams` and `messages` stand for kinds of link; other kinds are named, with ` + `.
 */
export interface Block {
  readonly comments: readonly string[];
  readonly commands: readonly string[];
  /** What each kind of link was seen to do. */
  readonly seen: Map<string, readonly string[]>;
}

const RULE = '----';

/** The kinds that a label stands for. */
function kindsOf(label: string): string[] {
  return label.split(' + ').flatMap((part) => {
    if (part === 'all') return linkKinds.map(({ name }) => name);
    if (part === 'streams' || part === 'messages') return namesOf(part === 'streams');
    return [part];
  });
}

function namesOf(streams: boolean): string[] {
  return linkKinds.filter(({ isStream }) => isStream === streams).map(({ name }) => name);
}

/** **Throws** Error for anything but a transcript. */
export function parseTranscript(text: string): Block[] {
  return text
    .trim()
    .split(/\n\n+/)
    .map((part) => {
      const lines = part.split('\n');
      const rule = lines.includes(RULE) ? lines.indexOf(RULE) : lines.length;
      const head = lines.slice(0, rule);
      const seen = new Map<string, readonly string[]>();
      let kinds: string[] = [];
      for (const line of lines.slice(rule + 1)) {
        if (line.startsWith('  ')) {
          for (const kind of kinds) seen.set(kind, [...(seen.get(kind) ?? []), line.trim()]);
        } else if (line.endsWith(':')) {
          kinds = kindsOf(line.slice(0, -1));
          for (const kind of kinds) seen.set(kind, []);
        } else {
          throw new Error(`neither a label nor indented: ${line}`);
        }
      }
      return {
        comments: head.filter((line) => line.startsWith('#')),
        commands: head.filter((line) => !line.startsWith('#')),
        seen,
      };
    });
}

/** The inverse of {@link parseTranscript}. */
export function printTranscript(blocks: readonly Block[]): string {
  return `${blocks.map(printBlock).join('\n\n')}\n`;
}

function printBlock({ comments, commands, seen }: Block): string {
  const groups = new Map<string, string[]>();
  for (const [kind, lines] of seen) {
    const text = lines.map((line) => `  ${line}\n`).join('');
    groups.set(text, [...(groups.get(text) ?? []), kind]);
  }
  const bodies = [...groups].map(([text, kinds]) => `${labelOf(kinds)}:\n${text}`.trimEnd());
  return [...comments, ...commands, RULE, ...bodies].join('\n');
}

function labelOf(kinds: readonly string[]): string {
  if (kinds.length === linkKinds.length) return 'all';
  const parts: string[] = [];
  for (const [label, names] of [
    ['streams', namesOf(true)],
    ['messages', namesOf(false)],
  ] as const) {
    if (names.every((name) => kinds.includes(name))) parts.push(label);
    else parts.push(...names.filter((name) => kinds.includes(name)));
  }
  return parts.join(' + ');
}
