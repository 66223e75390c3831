// SPDX-License-Identifier: MIT
/**
 * Fuzz target: every function and method of busbar, with wrong arguments. A call that throws must
 * throw as documented and change nothing.
 */
import { closeSync } from 'node:fs';
import type { Exporter } from 'busbar/metrics';
import { Packet } from 'busbar/packet';
import { BUSBAR_ERRORS } from '../../src/base/errors.ts';
import { Random } from '../../src/base/random.ts';
import { canBeDisguised, disguise, type Surprises } from './disguises.ts';
import { Live } from './hostile-live.ts';
import { FROM_GETTER, hostileValue, isNoPrimitive, isPlainlyWrong } from './hostile-values.ts';
import { bringTo, quietly, STAGES, type Stage, SUBJECTS, World } from './hostile-world.ts';
import {
  type Export,
  type Offer,
  type Parameter,
  publicSurface,
  surfaceOf,
} from './public-surface.ts';
import { insist, type SeedTarget } from './target.ts';
import { busbar, shared, VALID } from './valid-arguments.ts';

/** `Class.method`, or `Class` for all of it; and why it is not called here. */
export const EXEMPT: Readonly<Record<string, string>> = {
  'ByteFinder.find': 'called by codecs for each frame, with the cursors of a framer',
  'Bus.join': 'takes a thread of a group: test/bus/group.test.ts has what it refuses',
  executorPeers: 'likewise',
  BusbarError: 'made by the library, a plain Error to others',
  Backpressure: "a part for brokers of one's own, called for each message: it trusts its caller",
  ClientSubscriptions: 'likewise',
  FairShare: 'likewise',
  FanOut: 'likewise',
  Publisher: 'likewise',
  RecentSubject: 'likewise',
  ServerPeers: 'likewise',
  closeGradually: 'waits by timers: src/link/close-gradually.test.ts',
  SharedPort: 'claims ports of the machine: src/link/tcp/shared-port.test.ts',
  classifySubject: 'likewise',
  lineUnits: 'likewise',
  Receiver: 'abstract: PacketReceiver and WordReceiver have all of it',
  Sender: 'abstract: PacketSender and WordSender have all of it',
  samplesOf: 'reads what a monitor has made',
  setAffinity: 'would move the fuzzer: src/native/calling-thread.test.ts has what it refuses',
};

/** `Class.method parameter`: where a wrong argument may go unnoticed, and why. */
const TOLERATED: Readonly<Record<string, string>> = {
  'isBusbarError error': 'any value may be asked about',
  'BufferPool.offsetOf id':
    'arithmetic on the hot path: what it makes of nonsense is refused later',
  'BufferPool.bufferAt offset': 'likewise',
  littleEndian: 'anything that is true, as for a DataView',
};

/** What may be different after a call that threw: `Class.method`, and why. */
const CHANGING: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/\.(reclaim|recover|declareExited)$/, 'asking a thread whether it lives leaves a mark'],
  [/\.(send|receive)(Sync)?$/, 'a wait that was given up has asked to be rung'],
  [/\.guard(Sync)?$/, 'a wait that was given up has drawn a ticket'],
  [/^Bus\.request$/, 'a request that nobody responds to was published'],
  [/^PacketSender\.trySend/, 'receivers step over the slot that was taken for it'],
];

/** A method called at the wrong time throws for that reason, and names no argument. */
const WRONG_TIME =
  /^(a link (with|without) (a )?peer|there is a current message only|the link has callbacks)/;
/** Names that one argument has at several depths. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  bufferId: ['id'],
  message: ['packet', 'word'],
  handler: ['options'],
  to: ['host', 'port'],
  own: ['kind', 'metrics', 'read'],
  use: ['links', 'laggards', 'messageBytes', 'requestBytes', 'packets'],
  words: ['target'],
};

interface Call {
  readonly owner: Export;
  readonly offer: Offer;
}

/**
 * Called by a framer with its own cursors, or by a link with space that it has reserved: the same
 * for every codec, also for those to come.
 */
const CODEC = /^\w+Codec\.(?:measure|encode|headBytes)$/;

/** All that is called, and all that is not. */
export const CALLS: readonly Call[] = [
  ...publicSurface(),
  surfaceOf('Mailbox', 'LaneMailbox', [
    'handle',
    'handleRegions',
    'respond',
    'tryReceive',
    'receive',
  ]),
]
  .filter(({ kind, name }) => kind !== 'value' && !(name in EXEMPT))
  .flatMap((owner) => owner.offers.map((offer) => ({ owner, offer })))
  .filter((call) => !isExempt(nameOf(call)));

export function isExempt(name: string): boolean {
  return name in EXEMPT || CODEC.test(name);
}

export function nameOf({ owner, offer }: Call): string {
  return owner.kind === 'function' ? owner.name : `${owner.name}.${offer.name}`;
}

/** These make threads, so they have their turn less often. */
const SLOW = /^Executor(Group)?\.start$/;
/** These end what is made once for all executions. */
const ENDING = /\.(close|destroy|stop|\[Symbol\.asyncDispose\])$/;

/** Keys of options, with values of which one is replaced; names stay away from name servers. */
function spoilOne(random: Random, options: object): object {
  const keys = [...Object.keys(options), 'unknown', 'signal', 'timeoutMs', 'flush', 'maxThreads'];
  const key = keys[random.below(keys.length)];
  return key === 'host' || key === 'path' ? options : { ...options, [key]: hostileValue(random) };
}

/** Everything a call is made of. */
interface Attempt {
  readonly name: string;
  readonly call: Call;
  readonly stage: Stage;
  readonly world: World;
  readonly subject: object;
  readonly args: unknown[];
  /** Names of the parameters whose argument is plainly no such thing. */
  readonly wrong: readonly string[];
  /** An argument has called the library, too: what is different afterwards may be its doing. */
  hasReentered: boolean;
}

function chooseArguments(
  world: World,
  subject: object,
  call: Call,
  surprises: Surprises,
): { args: unknown[]; wrong: string[] } {
  const { random } = world;
  const name = nameOf(call);
  const args: unknown[] = [];
  const wrong: string[] = [];
  const { parameters } = call.offer;
  const given = random.chance(0.9) ? parameters.length : random.below(parameters.length + 1);
  for (const [i, parameter] of parameters.entries()) {
    const value =
      i < given ? chooseArgument(world, subject, name, parameter, surprises) : undefined;
    if (/Sync$/.test(call.offer.name) && parameter.name === 'timeoutMs' && !isShort(value)) {
      args.push(0);
      continue;
    }
    if (i < given) args.push(value);
    const isTolerated = `${name} ${parameter.name}` in TOLERATED || parameter.name in TOLERATED;
    if (!isTolerated && isPlainlyWrong(parameter.type, parameter.isOptional, value)) {
      wrong.push(parameter.name);
    }
  }
  return { args, wrong };
}

function chooseArgument(
  world: World,
  subject: object,
  name: string,
  parameter: Parameter,
  surprises: Surprises,
): unknown {
  const { random } = world;
  const make = VALID[`${name} ${parameter.name}`] ?? VALID[parameter.name];
  if (make === undefined) throw new Error(`${name}: no argument is known for ${parameter.name}`);
  if (random.chance(0.5)) return hostileValue(random);
  const value = makeOr(make, world, subject);
  if (canBeDisguised(value) && random.chance(0.4)) return disguise(value, surprises);
  const isOptions = typeof value === 'object' && value !== null && /^options$/.test(parameter.name);
  return isOptions && random.chance(0.7) ? spoilOne(random, value) : value;
}

/** In a pool that is closed or left, not everything can be had. */
function makeOr(make: (typeof VALID)[string], world: World, subject: object): unknown {
  try {
    return make(world, subject);
  } catch {
    return hostileValue(world.random);
  }
}

/** Nothing may block for long. */
function isShort(timeoutMs: unknown): boolean {
  return timeoutMs !== undefined && (typeof timeoutMs !== 'number' || !(timeoutMs > 2));
}

// ── What must be so
// ────────────────────────────────────────────────────────────────────────────────────────────

/** How engines and Node put what the library had better said itself. */
const NOT_OURS = [
  /^Cannot |^Class |^The "|^Illegal |^Reflect|^Symbol|^Method |^Object |^First |^Invalid [a-z]/,
  /is not (a function|iterable|a constructor|defined|an object|extensible|callable)/,
  /^(offset is|start offset|Offset is|Start offset|argument|Array buffer|byte length|Maximum) /i,
  /incompatible receiver|to a (string|number|primitive)|undefined or null|detached ArrayBuffer/,
];

/** Throws unless the error is of a documented kind. */
function judgeError({ call, args }: Attempt, error: unknown): void {
  if (error === FROM_GETTER) return;
  const signals = args.filter((arg) => isSignal(arg) || keysOf(arg).includes('signal'));
  if (signals.length > 0 && (error as Error)?.name === 'AbortError') return;
  const { code, message, name } = error as { code?: string; message: string; name: string };
  if (name === 'BusbarError') {
    insist(code !== undefined && code in BUSBAR_ERRORS, `unknown code ${code}`);
    return;
  }
  const isMisuse = error instanceof TypeError || error instanceof RangeError;
  insist(isMisuse, `threw ${String(error)}`);
  // The engine throws this for any use of the argument.
  if (/proxy that has been revoked/.test(message)) return;
  // What cannot even be made a number of is refused by the engine, before anything happens.
  if (args.some(isNoPrimitive) || WRONG_TIME.test(message)) return;
  insist(!NOT_OURS.some((pattern) => pattern.test(message)), `threw the engine's "${message}"`);
  const names = call.offer.parameters.map((each) => each.name);
  const others = names.flatMap((each) => ALIASES[each] ?? []);
  const isOption = names.some((each) => /^(options|handle|ticket|faults|own)$/.test(each));
  const isNamed =
    [...names, ...others].some((each) => message.includes(each)) ||
    (isOption && /^(?:[\w.]+ (?:must|has|×)|there is no option) /.test(message));
  insist(isNamed, `"${message}" names none of ${names.join(', ')}`);
}

function isSignal(value: unknown): boolean {
  try {
    return value instanceof AbortSignal;
  } catch {
    return false;
  }
}

function keysOf(value: unknown): string[] {
  try {
    return typeof value === 'object' && value !== null ? Object.keys(value) : [];
  } catch {
    return [];
  }
}

/** All that getters and stats() of the subject say, as text. */
function describe({ call, subject }: Attempt): string {
  if (!(call.offer.kind === 'method' || call.offer.kind === 'getter')) return '';
  const said = call.owner.offers
    .filter(({ kind, name }) => kind === 'getter' || name === 'stats')
    .map(({ kind, name }) => {
      try {
        const value = (subject as Record<string, unknown>)[name];
        const shown = kind === 'getter' ? value : (value as () => unknown).call(subject);
        return `${name} ${typeof shown === 'object' ? JSON.stringify(shown) : String(shown)}`;
      } catch (error) {
        return `${name} throws ${(error as Error).message}`;
      }
    });
  return said.join('\n');
}

interface Before {
  readonly words: readonly Int32Array[];
  readonly said: string;
}

function look(attempt: Attempt): Before {
  return { words: attempt.world.words(), said: describe(attempt) };
}

function judgeState(attempt: Attempt, before: Before): void {
  if (attempt.hasReentered) return;
  if (CHANGING.some(([pattern]) => pattern.test(attempt.name))) return;
  // An end that has left its pool leaves the channel to its successors.
  if (attempt.stage === 'detached' && /(Sender|Receiver|Mailbox)$/.test(attempt.call.owner.name))
    return;
  const after = look(attempt);
  insist(after.said === before.said, `changed:\n${before.said}\nto\n${after.said}`);
  for (const [block, words] of before.words.entries()) {
    const at = words.findIndex((word, i) => word !== after.words[block][i]);
    const change = at < 0 ? '' : `${words[at]} to ${after.words[block][at]}`;
    insist(at < 0, `threw, but word ${at} of block ${block} went from ${change}`);
  }
}

// ── One execution
// ────────────────────────────────────────────────────────────────────────────────────────────

function chooseCall(random: Random): Call {
  for (;;) {
    const call = CALLS[random.below(CALLS.length)];
    if (!SLOW.test(nameOf(call)) || random.chance(0.02)) return call;
  }
}

async function execute(seed: number): Promise<void> {
  shared.live ??= await Live.create();
  const { live } = shared;
  const random = new Random(seed);
  const call = chooseCall(random);
  const name = nameOf(call);
  const { kind } = call.offer;
  const world = new World(random);
  let stage: Stage = kind === 'method' || kind === 'getter' ? STAGES[random.below(3)] : 'open';
  let subject: object = busbar;
  if (kind === 'method' || kind === 'getter') {
    if (stage === 'open' && ENDING.test(name)) stage = 'closed';
    // A thread that leaves the pool while a link is open has lost the link.
    if (stage === 'detached' && call.owner.name === 'TcpLink') stage = 'closed';
    const made = live.subject(call.owner.name, stage !== 'open');
    subject = made ?? SUBJECTS[call.owner.name]?.(world);
    if (subject === undefined) throw new Error(`${name}: nothing to call it on`);
    if (made === undefined) bringTo(stage, world, call.owner.name, subject);
  }
  try {
    await attemptCall(world, stage, subject, call);
  } catch (cause) {
    throw new Error(`${(cause as Error).message}`, { cause });
  } finally {
    await live.settle(call.owner.name, call.offer.name);
  }
}

async function attemptCall(world: World, stage: Stage, subject: object, call: Call): Promise<void> {
  let isCalled = false;
  const reenter = (): void => {
    if (!isCalled) return;
    attempt.hasReentered = true;
    reenterAt(world, isShared(call) ? world.pool : subject);
  };
  const { args, wrong } = chooseArguments(world, subject, call, { random: world.random, reenter });
  const attempt: Attempt = {
    ...{ name: nameOf(call), call, stage, world, subject, args, wrong, hasReentered: false },
  };
  const before = look(attempt);
  isCalled = true;
  try {
    const result = invoke(attempt);
    if (result instanceof Promise) await judgePromise(attempt, result, before);
    else judgeResult(attempt, result);
  } catch (error) {
    if (error instanceof Verdict) throw explain(attempt, error.cause as Error);
    try {
      judgeError(attempt, error);
      judgeState(attempt, before);
    } catch (verdict) {
      throw explain(attempt, verdict as Error);
    }
  }
  const contradictions = world.finish();
  if (contradictions.length > 0) throw explain(attempt, new Error(contradictions.join('; ')));
}

/** Made once for all executions: not to be closed by one of them. */
function isShared({ owner }: Call): boolean {
  return shared.live?.subject(owner.name, false) !== undefined;
}

/** What an argument may do when it is asked. */
const REENTRIES = ['close', 'release', 'flush', 'abort', 'releaseIdle', 'detach', 'stats'];

function reenterAt({ random, pool, held }: World, subject: object): void {
  const name = REENTRIES[random.below(REENTRIES.length)] as string;
  const member = (subject as Record<string, unknown>)[name];
  const isMethod = typeof member === 'function' && member.length === 0;
  if (isMethod && random.chance(0.7)) quietly(() => member.call(subject));
  else quietly(() => pool.release(held));
}

/** What the fuzzer finds wrong, told apart from what the library throws. */
class Verdict extends Error {}

function invoke({ call, subject, args }: Attempt): unknown {
  const { name, kind } = call.offer;
  const exported = (busbar as unknown as Record<string, never>)[call.owner.name];
  const key = name.startsWith('[Symbol.')
    ? (Symbol as unknown as Record<string, symbol>)[name.slice('[Symbol.'.length, -1)]
    : name;
  if (kind === 'function') return (exported as (...args: unknown[]) => unknown)(...args);
  if (kind === 'constructor') return new (exported as new (...args: unknown[]) => unknown)(...args);
  const owner = (kind === 'static' ? exported : subject) as Record<PropertyKey, unknown>;
  if (kind === 'getter') return owner[key];
  return (owner[key] as (...args: unknown[]) => unknown)(...args);
}

function judgeResult({ world, wrong }: Attempt, result: unknown): void {
  if (result instanceof Packet) world.atEnd(() => result.release());
  else if (result !== null && typeof result === 'object') {
    const { close, fd } = result as { close?: () => unknown; fd?: number };
    if (typeof close === 'function') world.atEnd(() => close.call(result));
    if (typeof fd === 'number') quietly(() => closeSync(fd));
  }
  if (wrong.length === 0) return;
  throw new Verdict('', { cause: new Error(`accepted what is no ${wrong.join(' and no ')}`) });
}

/** Longer than everything that ends by itself here. */
const PATIENCE_MS = 10_000;
const PENDING = Symbol('pending');

async function judgePromise(
  attempt: Attempt,
  promise: Promise<unknown>,
  before: Before,
): Promise<void> {
  const settled = promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const isRemote = attempt.stage === 'open' && isSlow(attempt);
  const early = isRemote ? await inTime(settled) : await Promise.race([settled, later()]);
  const isWaiting = early === PENDING;
  // It waits for what will not come: the end of everything ends it.
  if (isWaiting) attempt.world.finish();
  const outcome = isWaiting ? await inTime(settled) : early;
  if (outcome === PENDING) {
    throw new Verdict('', { cause: new Error('a promise was not settled by the end of its pool') });
  }
  if ('value' in outcome) {
    judgeResult(attempt, outcome.value);
    await endOf(outcome.value);
    return;
  }
  try {
    judgeError(attempt, outcome.error);
    if (!isWaiting && !isSlow(attempt)) judgeState(attempt, before);
  } catch (cause) {
    throw new Verdict('', { cause });
  }
}

/** Sockets and threads answer when they do. */
function isSlow({ call }: Attempt): boolean {
  return /^(Executor|ExecutorGroup|Exporter|TcpServer|UdpLink|TcpLink)$/.test(call.owner.name);
}

async function later(): Promise<typeof PENDING> {
  for (let i = 0; i < 20; i++) await undefined;
  return PENDING;
}

async function inTime<T>(promise: Promise<T>): Promise<T | typeof PENDING> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<typeof PENDING>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, PENDING);
  });
  const first = await Promise.race([promise, timeout]);
  clearTimeout(timer);
  return first;
}

async function endOf(value: unknown): Promise<void> {
  if (value instanceof busbar.ExecutorGroup || value instanceof busbar.Executor) await value.stop();
  const { TcpServer, UdpLink, Exporter: Shown } = busbar;
  const isOpen = [TcpServer, UdpLink, Shown].some((each) => value instanceof each);
  if (isOpen) await (value as Exporter).close();
}

function explain({ name, stage, args }: Attempt, cause: Error): Error {
  return new Error(`${stage} ${name}(${args.map(show).join(', ')}) ${cause.message}`, { cause });
}

function show(value: unknown): string {
  try {
    if (value === FROM_GETTER) return 'FROM_GETTER';
    if (typeof value === 'object' && value !== null) {
      const name = value.constructor?.name ?? 'object';
      return name === 'Object' || name === 'Array' ? JSON.stringify(value) : name;
    }
    return typeof value === 'string' ? JSON.stringify(value) : String(value);
  } catch {
    return 'something that throws';
  }
}

export const hostileArguments: SeedTarget = {
  name: 'hostile-arguments',
  execution: 'one call of one public function or method with hostile arguments, in a new pool',
  executionsInTests: 1_000,
  run: execute,
  end: async () => {
    await shared.live?.end();
    shared.live = undefined;
  },
};
