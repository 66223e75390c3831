// SPDX-License-Identifier: MIT
/** Soak: one run, from the first process to the last. */

import { coresTakenByOthers, idleMsByCore } from '../../bench/machine.ts';
import { median } from '../../bench/statistics.ts';
import { LOADING, type PartName, type PartOptions, type Plant, SERVING } from './part.ts';
import { PartProcess } from './part-process.ts';
import { usedCpuMs } from './reading.ts';
import type { LoadMinute } from './tally.ts';

export interface RunSettings {
  readonly minutes: number;
  /** How long such a minute is. */
  readonly minuteMs: number;
  readonly seed: number;
  /** What the TCP server keeps, to show that it is found. */
  readonly plants: readonly Plant[];
  /** Told after each minute. */
  readonly onMinute: (minute: number, loads: ReadonlyMap<string, LoadMinute>) => void;
}

/** Descriptors and buffers of one part that should be the same at two moments. */
export interface Return {
  readonly part: PartName;
  /** 'at rest': as when it was made; 'closed': as before, and no buffer in use. */
  readonly when: 'at rest' | 'closed';
  readonly quantity: string;
  readonly expected: number;
  readonly actual: number;
}

/** What a load has done in the whole run. */
export interface LoadTotal {
  readonly messages: number;
  readonly lost: number;
  readonly wrong: number;
}

export interface RunRecord {
  /** By 'part: quantity', one value per minute; of samples in between their median. */
  readonly series: ReadonlyMap<string, number[]>;
  /** By load, one per minute. */
  readonly loads: ReadonlyMap<string, LoadMinute[]>;
  readonly totals: ReadonlyMap<string, LoadTotal>;
  /** How many cores other programs kept busy, one value per minute. */
  readonly coresTaken: readonly number[];
  readonly returns: readonly Return[];
  /** What came that should not have, or did not come. */
  readonly complaints: readonly string[];
}

/** Samples in each minute; the last one is the minute's. */
const SAMPLES_PER_MINUTE = 12;
/** At rest everything must be back within this many looks: work, since a busy machine is slow. */
const REST_LOOKS_MAX = 600;
const LOOK_MS = 50;
/** What comes back exactly. */
const COUNTED = ['descriptors', 'buffers in use'] as const;
/** Behind the name of a load: what was sent of it. */
const SENT = ' sent';
/** Whom each loads. */
const SERVED_BY: Readonly<Record<(typeof LOADING)[number], (typeof SERVING)[number]>> = {
  'broker-flows': 'broker',
  'broker-guests': 'broker',
  'tcp-clients': 'tcp-server',
  'udp-sender': 'udp-receiver',
};
/** Who keeps what is planted. */
const PLANTED: PartName = 'tcp-server';

/** What the processors of the machine have done, and how much of it for us. */
interface ProcessorTimes {
  readonly nowMs: number;
  readonly idleMs: readonly number[];
  readonly ownMs: number;
}

type Samples = ReadonlyMap<PartName, Awaited<ReturnType<PartProcess['sample']>>>;

export async function runSoak(settings: RunSettings): Promise<RunRecord> {
  const parts = new Map<PartName, PartProcess>();
  for (const name of [...SERVING, ...LOADING]) parts.set(name, new PartProcess(name));
  try {
    return await new Run(settings, parts).run();
  } finally {
    for (const part of parts.values()) part.kill();
  }
}

class Run {
  readonly #settings: RunSettings;
  readonly #parts: ReadonlyMap<PartName, PartProcess>;
  readonly #series: Map<string, number[]> = new Map();
  readonly #loads: Map<string, LoadMinute[]> = new Map();
  readonly #totals: Map<string, LoadTotal> = new Map();
  readonly #returns: Return[] = [];
  readonly #complaints: string[] = [];
  readonly #coresTaken: number[] = [];
  #processors: ProcessorTimes = { nowMs: 0, idleMs: [], ownMs: 0 };

  constructor(settings: RunSettings, parts: ReadonlyMap<PartName, PartProcess>) {
    this.#settings = settings;
    this.#parts = parts;
  }

  async run(): Promise<RunRecord> {
    const before = await this.#sampleAll(false);
    await this.#makeAll();
    const made = await this.#sampleAll(false);
    await this.#all(LOADING, (part) => part.do('go'));
    this.#processors = processorTimes(await this.#sampleAll(false));
    const beganMs = performance.now();
    for (let minute = 0; minute < this.#settings.minutes; minute++) {
      await this.#minute(beganMs + minute * this.#settings.minuteMs);
      this.#settings.onMinute(minute, this.#latest());
    }
    await this.#all(LOADING, async (part) => this.#complain(part.name, await part.do('stop')));
    for (const name of SERVING) await this.#untilAtRest(name, made);
    // With what has arrived since the last minute.
    this.#addToTotals(await this.#sampleAll(true));
    await this.#all([...LOADING, ...SERVING], async (part) => {
      this.#complain(part.name, await part.do('close'));
    });
    const closed = await this.#sampleAll(false);
    for (const name of this.#parts.keys()) {
      this.#returns.push(...compare(name, 'closed', before, closed));
    }
    await this.#all([...LOADING, ...SERVING], (part) => part.exit());
    this.#compareWithSent();
    return {
      series: this.#series,
      loads: this.#loads,
      totals: this.#totals,
      coresTaken: this.#coresTaken,
      returns: this.#returns,
      complaints: this.#complaints,
    };
  }

  /** Those that load learn where those that serve can be reached. */
  async #makeAll(): Promise<void> {
    const { seed, plants } = this.#settings;
    const make = (name: PartName, ports: readonly number[]): Promise<readonly number[]> => {
      const options: PartOptions = { seed, ports, plants: name === PLANTED ? plants : [] };
      return this.#part(name).make(options);
    };
    const ports = new Map<PartName, readonly number[]>();
    for (const name of SERVING) ports.set(name, await make(name, []));
    for (const name of LOADING) await make(name, ports.get(SERVED_BY[name]) ?? []);
  }

  async #minute(beganMs: number): Promise<void> {
    const { minuteMs } = this.#settings;
    const samples: Samples[] = [];
    for (let i = 1; i < SAMPLES_PER_MINUTE; i++) {
      await untilMs(beganMs + (i * minuteMs) / SAMPLES_PER_MINUTE);
      samples.push(await this.#sampleAll(false));
    }
    await untilMs(beganMs + minuteMs);
    const last = await this.#sampleAll(true);
    samples.push(last);
    for (const [name, { reading, loads }] of last) {
      for (const quantity of Object.keys(reading)) {
        const values = samples.flatMap((sample) => sample.get(name)?.reading[quantity] ?? []);
        appendTo(this.#series, `${name}: ${quantity}`, median(values));
      }
      for (const [load, minute] of Object.entries(loads)) appendTo(this.#loads, load, minute);
    }
    this.#addToTotals(last);
    this.#noteProcessors(processorTimes(last));
  }

  #noteProcessors(now: ProcessorTimes): void {
    const before = this.#processors;
    this.#processors = now;
    const wallMs = now.nowMs - before.nowMs;
    const ownMs = now.ownMs - before.ownMs;
    this.#coresTaken.push(coresTakenByOthers(before.idleMs, now.idleMs, wallMs, ownMs));
  }

  #addToTotals(samples: Samples): void {
    for (const { loads } of samples.values()) {
      for (const [load, { messages, lost, wrong }] of Object.entries(loads)) {
        const total = this.#totals.get(load) ?? { messages: 0, lost: 0, wrong: 0 };
        this.#totals.set(load, {
          messages: total.messages + messages,
          lost: total.lost + lost,
          wrong: total.wrong + wrong,
        });
      }
    }
  }

  /** Waits until what the load had is back. */
  async #untilAtRest(name: PartName, made: Samples): Promise<void> {
    // What is planted never comes back.
    const isHopeless = name === PLANTED && this.#settings.plants.length > 0;
    const looks = isHopeless ? 1 : REST_LOOKS_MAX;
    for (let look = 1; ; look++) {
      const now = new Map([[name, await this.#part(name).sample(false)]]);
      const returns = compare(name, 'at rest', made, now);
      const isBack = returns.every(({ expected, actual }) => expected === actual);
      if (isBack || look >= looks) {
        this.#returns.push(...returns);
        return;
      }
      await untilMs(performance.now() + LOOK_MS);
    }
  }

  /** Nothing may arrive that was not sent. */
  #compareWithSent(): void {
    for (const [load, { messages, lost }] of this.#totals) {
      const sent = this.#totals.get(load + SENT);
      if (sent === undefined || messages + lost <= sent.messages) continue;
      this.#complaints.push(`${load}: ${messages} came and ${lost} did not, of ${sent.messages}`);
    }
  }

  #complain(name: PartName, complaints: readonly string[]): void {
    for (const complaint of complaints) {
      const text = `${name}: ${complaint}`;
      if (!this.#complaints.includes(text)) this.#complaints.push(text);
    }
  }

  #latest(): Map<string, LoadMinute> {
    const latest = new Map<string, LoadMinute>();
    for (const [load, minutes] of this.#loads) latest.set(load, minutes[minutes.length - 1]);
    return latest;
  }

  async #sampleAll(isMinute: boolean): Promise<Samples> {
    const names = [...this.#parts.keys()];
    const samples = await Promise.all(names.map((name) => this.#part(name).sample(isMinute)));
    return new Map(names.map((name, i) => [name, samples[i]]));
  }

  async #all(
    names: readonly PartName[],
    what: (part: PartProcess) => Promise<unknown>,
  ): Promise<void> {
    await Promise.all(names.map((name) => what(this.#part(name))));
  }

  #part(name: PartName): PartProcess {
    const part = this.#parts.get(name);
    if (part === undefined) throw new RangeError(`there is no ${name}`);
    return part;
  }
}

/** What was counted at two moments; closed, no buffer may be in use. */
function compare(part: PartName, when: Return['when'], before: Samples, after: Samples): Return[] {
  const read = (samples: Samples, quantity: string): number =>
    samples.get(part)?.reading[quantity] ?? Number.NaN;
  return COUNTED.map((quantity) => ({
    part,
    when,
    quantity,
    expected: read(before, quantity),
    actual: read(after, quantity),
  }));
}

function processorTimes(samples: Samples): ProcessorTimes {
  let ownMs = usedCpuMs();
  for (const { cpuMs } of samples.values()) ownMs += cpuMs;
  return { nowMs: performance.now(), idleMs: idleMsByCore(), ownMs };
}

function appendTo<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}

/** Waits until that time of this process's clock. */
async function untilMs(timeMs: number): Promise<void> {
  const leftMs = timeMs - performance.now();
  if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
}
