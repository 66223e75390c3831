// SPDX-License-Identifier: MIT
/**
 * What tests import as `vitest` on engines that vitest does not run on: the same expectations, and
 * the least runner that the tests of the sources need. The program of an engine imports a test file
 * and then calls `runTests`.
 */
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  GLOBAL_EXPECT,
  getState,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect';
import { format } from '@vitest/pretty-format';
import * as spies from '@vitest/spy';
import * as chai from 'chai';

type Body = (...args: unknown[]) => unknown;

interface Group {
  readonly name: string;
  readonly parent: Group | undefined;
  readonly beforeAll: Body[];
  readonly afterAll: Body[];
  readonly beforeEach: Body[];
  readonly afterEach: Body[];
  readonly parts: (Group | Test)[];
}

interface Test {
  readonly name: string;
  readonly body: Body;
  /** Why it is not run, or empty. */
  readonly reason: string;
}

/** What became of a test. */
export interface Outcome {
  readonly test: string;
  readonly outcome: 'passed' | 'failed' | 'left out';
  /** The error, or why it was left out. */
  readonly text: string;
}

/** An emulated processor is slower. A page has no environment. */
const TEST_MS_MAX: number = Number(globalThis.process?.env.BUSBAR_TEST_MS_MAX ?? 60_000);

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

/** The little of snapshots that our tests use: values whose text is short. */
chai.use((_, utils) => {
  utils.addMethod(
    chai.Assertion.prototype,
    'toMatchInlineSnapshot',
    function (this: Chai.AssertionStatic, expected: string) {
      const lines = expected.trim().split('\n');
      const indent = /^ */.exec(lines.at(-1) ?? '')?.[0] ?? '';
      const wanted = lines.map((line) => line.replace(indent, '')).join('\n');
      const options = { escapeString: false, printBasicPrototype: false };
      chai.assert.equal(format(utils.flag(this, 'object'), options), wanted);
    },
  );
});

const globals = globalThis as unknown as Record<string | symbol, unknown>;

export const expect = ((value: unknown, message?: string) => {
  setState({ assertionCalls: getState(expect as never).assertionCalls + 1 }, expect as never);
  return chai.expect(value, message);
}) as unknown as Record<string, unknown>;
Object.assign(expect, chai.expect);
Object.assign(expect, globals[ASYMMETRIC_MATCHERS_OBJECT]);
expect.getState = () => getState(expect as never);
expect.setState = (state: object) => setState(state, expect as never);
expect.unreachable = (text?: string) => chai.assert.fail(`not to be reached ${text ?? ''}`);
setState({ assertionCalls: 0, environment: 'engine' } as never, expect as never);
globals[GLOBAL_EXPECT] = expect;

/** A test that asks for this is left out. */
export class Lacking extends Error {}

function lacking(what: string): () => never {
  return () => {
    throw new Lacking(`needs ${what} of vitest`);
  };
}

export const vi: Record<string, unknown> = {
  fn: spies.fn,
  spyOn: spies.spyOn,
  restoreAllMocks: spies.restoreAllMocks,
  mocked: (value: unknown) => value,
  useRealTimers() {},
  useFakeTimers: lacking('the timers'),
  mock: lacking('modules'),
  resetModules: lacking('modules'),
};

const root = group('', undefined);
let current = root;
let rules: readonly LeftOut[] = [];

function group(name: string, parent: Group | undefined): Group {
  const hooks = { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] };
  return { name, parent, ...hooks, parts: [] };
}

type Declare = (name: string, ...rest: unknown[]) => void;

function declareGroup(name: string, define: () => void): void {
  const outer = current;
  current = group(name, outer);
  outer.parts.push(current);
  define();
  current = outer;
}

function declareTest(name: string, ...rest: unknown[]): void {
  const body = rest.find((each) => typeof each === 'function') as Body;
  current.parts.push({ name, body, reason: '' });
}

function skipped(name: string): void {
  current.parts.push({ name, body() {}, reason: 'not for this platform' });
}

/** One test or group for each row, as vitest does it with an array. */
function each(define: (name: string, body: Body) => void): unknown {
  return (rows: readonly unknown[]) =>
    (name: string, ...rest: unknown[]) => {
      const body = rest.find((one) => typeof one === 'function') as Body;
      for (const [index, row] of rows.entries()) {
        const values = Array.isArray(row) ? row : [row];
        define(`${name} (${index})`, () => body(...values));
      }
    };
}

export const test: Declare & { readonly [K in 'each' | 'runIf' | 'skipIf']: unknown } =
  Object.assign(declareTest, {
    each: each(declareTest),
    runIf: (isSo: unknown) => (isSo ? declareTest : skipped),
    skipIf: (isSo: unknown) => (isSo ? skipped : declareTest),
  });
export const it: typeof test = test;
export const describe: Declare & { readonly each: unknown } = Object.assign(
  declareGroup as Declare,
  {
    each: each(declareGroup),
  },
);

export function beforeAll(body: Body): void {
  current.beforeAll.push(body);
}
export function afterAll(body: Body): void {
  current.afterAll.push(body);
}
export function beforeEach(body: Body): void {
  current.beforeEach.push(body);
}
export function afterEach(body: Body): void {
  current.afterEach.push(body);
}

/** Tests that are not run: whose names (or, for `said`, whose text) match; and why. */
export interface LeftOut {
  readonly tests?: string;
  readonly said?: string;
  readonly reason: string;
}

/** Runs what the file has declared, one test after the other. */
export async function runTests(
  report: (outcome: Outcome) => void,
  leftOut: readonly LeftOut[],
): Promise<void> {
  rules = leftOut;
  await runGroup(root, '', report);
}

async function runGroup(
  part: Group,
  path: string,
  report: (outcome: Outcome) => void,
): Promise<void> {
  for (const body of part.beforeAll) await body();
  for (const each of part.parts) {
    const name = path === '' ? each.name : `${path} > ${each.name}`;
    if ('parts' in each) await runGroup(each, name, report);
    else report({ test: name, ...(await runTest(each, part, name)) });
  }
  for (const body of part.afterAll) await body();
}

async function runTest(test: Test, group: Group, path: string): Promise<Omit<Outcome, 'test'>> {
  if (test.reason !== '') return { outcome: 'left out', text: test.reason };
  const rule = rules.find(
    ({ tests, said }) =>
      (tests !== undefined && new RegExp(tests).test(path)) ||
      (said !== undefined && new RegExp(said).test(String(test.body))),
  );
  if (rule !== undefined) return { outcome: 'left out', text: rule.reason };
  const around: Group[] = [];
  for (let at: Group | undefined = group; at !== undefined; at = at.parent) around.unshift(at);
  let outcome: Omit<Outcome, 'test'> = { outcome: 'passed', text: '' };
  const attempt = async (body: Body) => {
    try {
      await within(body());
    } catch (error) {
      if (outcome.outcome === 'passed') outcome = failure(error);
    }
  };
  for (const { beforeEach: bodies } of around) for (const body of bodies) await attempt(body);
  if (outcome.outcome === 'passed') await attempt(test.body);
  for (const { afterEach: bodies } of around.reverse())
    for (const body of [...bodies].reverse()) await attempt(body);
  return outcome;
}

function failure(error: unknown): Omit<Outcome, 'test'> {
  if (error instanceof Lacking) return { outcome: 'left out', text: error.message };
  const { message, stack = '' } = error as Error;
  return { outcome: 'failed', text: stack.includes(message) ? stack : `${message}\n${stack}` };
}

/** What a test returns, or an error if it takes too long; a test that blocks is stopped outside. */
async function within(result: unknown): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, TEST_MS_MAX, new Error(`took more than ${TEST_MS_MAX} ms`));
  });
  try {
    await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}
