#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/** The program `busbar`: `busbar top` and `busbar dump` show what processes of this user do. */

import { rmSync } from 'node:fs';
import { get } from 'node:http';
import { parseArgs } from 'node:util';
import { hint, show } from '../base/check.ts';
import { Screen } from './screen.ts';
import type { Snapshot } from './snapshot.ts';
import { placesOf } from './socket-place.ts';
import { linesOf, plain, viewOf } from './view.ts';

const HELP = `Shows what programs do that use an Exporter of busbar/metrics.

  busbar top [PLACE …]    live figures; space, b and the arrows scroll, q or Ctrl-C ends it.
                          Without a terminal: lines
  busbar dump [PLACE …]   one snapshot of each as JSON

PLACE is a process id, the path of a socket, or a URL with its token. Default: all of this user.

  --interval SECONDS      between two looks (1)
  --count N               end after so many (0: never)
  --json                  snapshots as JSON, one a line
`;
const REPLY_MS_MAX = 2000;
const GONE = 'no process listens there';

interface Look {
  readonly place: string;
  readonly snapshot?: Snapshot;
  readonly failure?: string;
}

process.stdout.on('error', () => process.exit(0));
process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  let values: { interval: string; count: string; json: boolean; help: boolean };
  let positionals: string[];
  try {
    const parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        interval: { type: 'string', default: '1' },
        count: { type: 'string', default: '0' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    ({ values, positionals } = parsed);
    for (const name of ['interval', 'count'] as const) {
      if (!/^\d+(\.\d+)?$/.test(values[name])) throw new Error(`--${name} must be a number`);
    }
  } catch (error) {
    return fail(`${(error as Error).message}\nTry: busbar --help`, 2);
  }
  const [command, ...places] = positionals;
  if (values.help || command === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  if (command !== 'top' && command !== 'dump') {
    const what = `unknown command ${show(command)}${hint(command, ['top', 'dump'])}`;
    return fail(`${what}\nTry: busbar --help`, 2);
  }
  if (command === 'dump') return await dump(places);
  const intervalMs = Math.max(50, Number(values.interval) * 1000);
  return await top(places, intervalMs, Number(values.count) || Infinity, values.json);
}

function fail(text: string, code: number): number {
  console.error(text);
  return code;
}

async function dump(places: string[]): Promise<number> {
  const looks = await lookAt(places);
  for (const { snapshot, failure, place } of looks) {
    if (snapshot !== undefined) console.log(JSON.stringify(snapshot, null, 2));
    else console.error(`${place}: ${failure}`);
  }
  return looks.some(({ snapshot }) => snapshot !== undefined) ? 0 : fail(nothing(places), 1);
}

async function top(
  places: string[],
  intervalMs: number,
  count: number,
  json: boolean,
): Promise<number> {
  const { stdin, stdout } = process;
  const isLive = stdout.isTTY && !json;
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const screen = isLive ? new Screen(process, stop) : undefined;
  let before = new Map<string, Snapshot>();
  let found = 0;
  for (let round = 0; round < count && !stopping.signal.aborted; round++) {
    const looks = await lookAt(places);
    found = looks.filter(({ snapshot }) => snapshot !== undefined).length;
    const known = before;
    if (json) for (const { snapshot } of looks) snapshot && console.log(JSON.stringify(snapshot));
    else {
      const lines = (width: number): string[] => linesOfAll(looks, known, width, nothing(places));
      if (screen === undefined) stdout.write(`${lines(Infinity).join('\n')}\n`);
      else screen.show(lines);
    }
    before = new Map(
      looks.flatMap(({ place, snapshot = known.get(place) }) =>
        snapshot ? [[place, snapshot]] : [],
      ),
    );
    if (found === 0 && !isLive) break;
    if (round + 1 < count) await sleep(intervalMs, stopping.signal);
  }
  stdin.pause();
  return found > 0 || isLive ? 0 : fail(json ? nothing(places) : '', 1);
}

function linesOfAll(
  looks: readonly Look[],
  before: ReadonlyMap<string, Snapshot>,
  width: number,
  nothing: string,
): string[] {
  const lines = looks.flatMap(({ place, snapshot, failure }) => [
    ...(snapshot === undefined
      ? [plain(`! ${place}: ${failure}`)]
      : linesOf(viewOf(before.get(place), snapshot), width)),
    '',
  ]);
  return lines.length === 0 ? [nothing] : lines;
}

function nothing(places: readonly string[]): string {
  return places.length === 0
    ? 'No process of this user has an Exporter of busbar/metrics.'
    : `No process replies at ${places.join(', ')}.`;
}

/** Asks all of them at once. Those that were not named and have ended are left out. */
async function lookAt(given: readonly string[]): Promise<Look[]> {
  const named = given.flatMap((each) => (/^\d+$/.test(each) ? placesOf(each) : [each]));
  const places = given.length === 0 ? placesOf() : named;
  const looks = await Promise.all(places.map((place) => look(place, given.length === 0)));
  return looks.filter(({ failure }) => given.length > 0 || failure !== GONE);
}

/** Removes what a process has left that was killed, where `mayRemove`. */
function look(place: string, mayRemove: boolean): Promise<Look> {
  return new Promise((resolve) => {
    const isUrl = /^http:\/\//.test(place);
    const headers: Record<string, string> = {};
    let target: object = { socketPath: place, path: '/snapshot' };
    if (isUrl) {
      const { hostname, port, searchParams } = new URL(place);
      const token = searchParams.get('token');
      if (token !== null) headers.authorization = `Bearer ${token}`;
      target = { hostname, port, path: '/snapshot' };
    }
    const request = get({ ...target, headers, timeout: REPLY_MS_MAX, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        if (response.statusCode !== 200) resolve({ place, failure: text.trim() });
        else resolve({ place, ...snapshotIn(text) });
      });
    });
    request.on('timeout', () => {
      request.destroy(new Error('no reply: the thread that exports is busy'));
    });
    request.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      const hasEnded = code === 'ECONNREFUSED' || code === 'ENOENT';
      if (hasEnded && mayRemove) rmSync(place, { force: true });
      resolve({ place, failure: hasEnded ? GONE : message });
    });
  });
}

function snapshotIn(text: string): { snapshot: Snapshot } | { failure: string } {
  try {
    const snapshot = JSON.parse(text) as Snapshot;
    if (snapshot.version === 1) return { snapshot };
  } catch {
    // Something else listens there.
  }
  return { failure: 'no exporter of this version of busbar' };
}

function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delayMs);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
