// SPDX-License-Identifier: MIT
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import {
  type ExecutorGroupOptions,
  resolveGroupOptions,
  resolveStopOptions,
} from './group-options.ts';

const pool = BufferPool.create({ bufferSize: 64, bufferCount: 16 });
const least: ExecutorGroupOptions = { pool, module: 'main.js', count: 1, pin: 'none' };

test('what is not said has a default', () => {
  const { partitioner, onDeath, onCrash, onRestart, ...rest } = resolveGroupOptions(least);
  expect(rest).toEqual({
    pool,
    module: pathToFileURL('main.js').href,
    cpus: [undefined],
    idle: 'adaptive',
    name: 'executor',
    data: undefined,
    laneCapacity: 1024,
    restart: { maxRestarts: 0, withinMs: Infinity, delayMs: 0 },
    startTimeoutMs: 30_000,
    resourceLimits: undefined,
  });
  expect(partitioner.partition('key', 1)).toBe(0);
  for (const callback of [onDeath, onCrash, onRestart]) expect(typeof callback).toBe('function');
});

test('a module is named by a URL or a path', () => {
  const resolve = (module: string | URL) => resolveGroupOptions({ ...least, module }).module;
  expect(resolve(new URL('file:///a/b.js'))).toBe('file:///a/b.js');
  expect(resolve('file:///a/b.js')).toBe('file:///a/b.js');
  expect(resolve('/a/b.js')).toBe('file:///a/b.js');
  expect(resolve('data:text/javascript,')).toBe('data:text/javascript,');
  expect(resolve('./b.js')).toBe(pathToFileURL('b.js').href);
});

test('a restart policy that is there is on', () => {
  const { restart } = resolveGroupOptions({ ...least, restart: {} });
  expect(restart).toEqual({ maxRestarts: 3, withinMs: 60_000, delayMs: 0 });
});

test.each([
  [{ pool: {} }, 'pool must be a BufferPool, got an object of type Object'],
  [{ module: '' }, 'module must be a URL or a path, got ""'],
  [{ module: 5 }, 'module must be a URL or a path, got 5'],
  [{ idle: 'rest' }, 'idle must be one of adaptive, spin, poll, park, got "rest"'],
  [{ laneCapacity: 3 }, 'laneCapacity must be a power of two, got 3'],
  [{ laneCapacity: 1 << 16 }, 'laneCapacity must be an integer from 1 to 32768, got 65536'],
  [{ name: 'a\0b' }, 'name must be a string without zero characters, got "a\\u0000b"'],
  [{ partitioner: {} }, 'partitioner.partition must be a function, got undefined'],
  [{ startTimeoutMs: -1 }, 'startTimeoutMs must be zero or more milliseconds, got -1'],
  [{ restart: { retries: 1 } }, 'restart has no option "retries"'],
  [{ restart: { maxRestarts: -1 } }, 'maxRestarts must be an integer'],
  [{ restart: { withinMs: 'x' } }, 'withinMs must be a number of milliseconds, got "x"'],
  [{ onCrash: 1 }, 'onCrash must be a function, got 1'],
  [{ onDeath: true }, 'onDeath must be a function, got true'],
  [{ workers: 2 }, 'there is no option "workers"'],
])('%o is refused', (wrong, message) => {
  const options = { ...least, ...wrong } as ExecutorGroupOptions;
  expect(() => resolveGroupOptions(options)).toThrow(message);
});

test('a stop drains within ten seconds unless it is told otherwise', () => {
  expect(resolveStopOptions()).toEqual({ mode: 'drain', deadlineMs: 10_000 });
  expect(resolveStopOptions({ mode: 'now' })).toEqual({ mode: 'now', deadlineMs: 500 });
  expect(resolveStopOptions({ deadlineMs: 0 })).toEqual({ mode: 'drain', deadlineMs: 0 });
  expect(() => resolveStopOptions({ mode: 'later' as never })).toThrow(RangeError);
  expect(() => resolveStopOptions({ deadline: 1 } as never)).toThrow(TypeError);
});
