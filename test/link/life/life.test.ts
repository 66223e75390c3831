// SPDX-License-Identifier: MIT
/**
 * Links' lives as transcripts: each `*.txt` here is a script and what every kind of link was seen
 * to do. `BUSBAR_REWRITE=1 npx vitest run test/link/life` writes down what is seen now; read the
 * difference before you commit it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type LinkKind, linkKinds } from '../kinds.ts';
import { type Block, parseTranscript, printTranscript } from './script.ts';
import { Stage } from './stage.ts';

const FOLDER = new URL('./', import.meta.url);
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));
const REWRITES = process.env.BUSBAR_REWRITE === '1';

/** Turns in which what should be seen may come, on a machine however busy. */
const TURNS_MAX = 20_000;
/** Turns in which nothing else must come. */
const TURNS_AFTER = 20;
/** What a deadline needs in real time; when transcripts are written, nobody knows what to await. */
const RECORD_MS = 40;

/** Plays a script over one kind of link; returns what was seen, up to the first surprise. */
async function play(kind: LinkKind, blocks: readonly Block[]): Promise<(readonly string[])[]> {
  const stage = new Stage(kind);
  const seen: (readonly string[])[] = [];
  let wrong: string[] = [];
  try {
    for (const block of blocks) {
      await stage.play(block.commands);
      const expected = REWRITES ? undefined : block.seen.get(kind.name)?.join('\n');
      const lines = await look(stage, expected);
      seen.push(lines);
      if (!REWRITES && lines.join('\n') !== expected) break;
      stage.next();
    }
  } finally {
    wrong = await stage.end();
  }
  expect(wrong).toEqual([]);
  return seen;
}

/** Waits for what is expected; without, for as long as something may still happen. */
async function look(stage: Stage, expected: string | undefined): Promise<string[]> {
  if (expected === undefined) {
    await stage.go(300);
    await new Promise((resolve) => setTimeout(resolve, RECORD_MS));
    await stage.go(300);
    return stage.seen();
  }
  for (let turns = 0; turns < TURNS_MAX; turns++) {
    await stage.go(1);
    if (stage.seen().join('\n') !== expected) continue;
    await stage.go(TURNS_AFTER);
    if (stage.seen().join('\n') === expected) break;
  }
  return stage.seen();
}

async function rewrite(file: URL, blocks: readonly Block[]): Promise<void> {
  for (const { seen } of blocks) seen.clear();
  for (const kind of linkKinds) {
    const seen = await play(kind, blocks);
    for (const [i, block] of blocks.entries()) block.seen.set(kind.name, seen[i] ?? []);
  }
  writeFileSync(file, printTranscript(blocks));
}

test.each(FILES)('%s', async (name) => {
  const file = new URL(name, FOLDER);
  const blocks = parseTranscript(readFileSync(file, 'utf8'));
  if (REWRITES) {
    await rewrite(file, blocks);
    return;
  }
  for (const kind of linkKinds) {
    const seen = await play(kind, blocks);
    const expected = blocks.slice(0, seen.length).map((block) => block.seen.get(kind.name));
    expect(seen, `${name}, ${kind.name}`).toEqual(expected);
  }
});

test('there are scripts enough, and each says what every kind of link does', () => {
  expect(FILES.length).toBeGreaterThanOrEqual(25);
  for (const name of FILES) {
    const text = readFileSync(new URL(name, FOLDER), 'utf8');
    for (const { commands, seen } of parseTranscript(text)) {
      for (const { name: kind } of linkKinds) {
        expect(seen.has(kind), `${name}: ${commands.join('; ')}: ${kind}`).toBe(true);
      }
    }
  }
});
