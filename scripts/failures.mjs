// SPDX-License-Identifier: MIT
/**
 * What failed, named again at the end of a log: `npm test` and `npm run test:engines` print it
 * before their last line, so that the end of a log is enough, however much of its middle is cut.
 *
 * `node scripts/failures.mjs LOG COMMAND` prints what the log of one of them names; .ci/run does so
 * after its last command, for each of them.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { ROOT } from './files.mjs';

/** Where vitest.config.ts notes errors outside every test, which vitest's own report leaves out. */
const UNHANDLED = `${ROOT}build/unhandled.jsonl`;

/** More are counted only. */
const FAILURES_MAX = 50;
const LINES_MAX = 4;
const COLUMNS_MAX = 160;
/** What is shown of a log that ends without a sum. */
const LAST_LINES = 5;

const HEAD = /^-- \d+ failed:$/;
const SUM = /^(\d+) passed, (\d+) failed$/;

/**
 * The lines for failures `{ place, test, text }`: a gate or an engine, the file and the test if
 * there is one, and what was wrong. None if there are no failures.
 */
export function failureLines(failures) {
  if (failures.length === 0) return [];
  const lines = failures.slice(0, FAILURES_MAX).flatMap(({ place, test, text }) => {
    const name = test === '' ? place : `${place}: ${test}`;
    return [`FAILED ${oneLine(name)}`, ...firstLines(text).map((line) => `  ${line}`)];
  });
  const more = failures.length - FAILURES_MAX;
  if (more > 0) lines.push(`and ${more} more`);
  return [`-- ${failures.length} failed:`, ...lines];
}

/** The failures in a report that vitest has written as JSON; a skipped test is one. */
export function failuresOf({ testResults }, place) {
  return testResults.flatMap((file) => {
    const path = file.name.replace(ROOT, '');
    const failed = file.assertionResults
      .filter(({ status }) => status !== 'passed')
      .map(({ status, fullName, failureMessages }) => ({
        place,
        test: `${path} > ${fullName}`,
        text: status === 'failed' ? (failureMessages?.[0] ?? '') : 'it is skipped',
      }));
    // One that does not load, or fails in a hook, has no failed test to its name.
    if (file.status !== 'failed' || failed.some(({ text }) => text !== 'it is skipped'))
      return failed;
    return [...failed, { place, test: path, text: file.message ?? '' }];
  });
}

/** Before a run of vitest: forgets the errors outside every test of the run before. */
export function forgetUnhandled() {
  rmSync(UNHANDLED, { force: true });
}

/** Errors outside every test, in the last run of vitest. */
export function unhandledFailures(place) {
  if (!existsSync(UNHANDLED)) return [];
  const lines = readFileSync(UNHANDLED, 'utf8').trim().split('\n');
  return lines.map((line) => ({ place, ...JSON.parse(line) }));
}

/** The failures that the log of a command names at its end, for a log of several commands. */
export function failuresIn(log, command) {
  const lines = stripVTControlCharacters(log).trimEnd().split('\n');
  const sum = SUM.exec(lines.at(-1));
  if (sum === null) {
    const last = lines.slice(-LAST_LINES).map((line) => `  ${oneLine(line)}`);
    return [`FAILED ${command} has ended without a sum, after`, ...last];
  }
  const begin = lines.findLastIndex((line) => HEAD.test(line));
  if (begin >= 0) return [`-- ${command}`, ...lines.slice(begin + 1, -1)];
  return sum[2] === '0' ? [] : [`FAILED ${command}: ${sum[0]}, and does not say what`];
}

function firstLines(text) {
  const lines = stripVTControlCharacters(text)
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.slice(0, LINES_MAX).map(oneLine);
}

function oneLine(text) {
  return text.replaceAll('\n', ' ').trim().slice(0, COLUMNS_MAX);
}

if (process.argv[1] === import.meta.filename) {
  const [log, ...command] = process.argv.slice(2);
  const lines = failuresIn(readFileSync(log, 'utf8'), command.join(' '));
  if (lines.length > 0) console.log(lines.join('\n'));
}
