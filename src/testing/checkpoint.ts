// SPDX-License-Identifier: MIT
/**
 * Model checker: checkpoints, from which a later run continues an exploration.
 *
 * A checkpoint has the state of the search between two schedules: what was visited, the choices
 * that are left, and the shared memory, logs and bookkeeping of the present schedule. What threads
 * keep on the JavaScript heap is not there: it is a function of the values that they have read, so
 * `Machine.load` runs each thread once more along its log.
 *
 * Keys of states and places in the memory depend on the checker, the scenario and the options. So a
 * checkpoint has a digest of each, and is refused if one differs.
 */

import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import { BusbarError } from '../base/errors.ts';
import { SharedAccess } from './accesses.ts';
import { ByteAccess } from './byte-accesses.ts';
import { ClockRanks } from './clock-ranks.ts';
import { Explorer } from './explorer.ts';
import { Machine } from './machine.ts';
import { MachineState } from './machine-state.ts';
import { ModelMemory } from './memory.ts';
import type { ResolvedOptions } from './model-options.ts';
import { Moment } from './moment.ts';
import { RaceClocks } from './race-clocks.ts';
import type { Scenario } from './scenario.ts';
import { Search, type SearchCopy } from './search.ts';
import { SpinWatch } from './spins.ts';
import { StateKey } from './state-key.ts';
import { WaiterTable } from './waiters.ts';

/** Classes whose text decides what a checkpoint means. */
const CHECKER: readonly unknown[] = [
  SharedAccess,
  ByteAccess,
  ClockRanks,
  Explorer,
  Machine,
  MachineState,
  ModelMemory,
  Moment,
  RaceClocks,
  Search,
  SpinWatch,
  StateKey,
  WaiterTable,
];
/** Options that a later run may change. */
const FREE: readonly string[] = ['schedules', 'milliseconds', 'progress', 'checkpoint'];

interface Checkpoint {
  readonly checker: string;
  readonly scenario: string;
  readonly options: string;
  readonly search: SearchCopy;
}

/** A scenario, whatever it shares. */
type ScenarioParts = { readonly [Key in keyof Scenario<unknown>]?: unknown };

/** Where checkpoints of one run come from and go to. Made once setup has made the memory. */
export class Checkpoints {
  readonly #digests: Omit<Checkpoint, 'search'>;

  constructor(scenario: ScenarioParts, options: ResolvedOptions, memory: ModelMemory) {
    const { name, setup, supervisor, check, racy, threads, spawned, ...rest } = scenario;
    const bodies = [threads, spawned].flatMap((part) => Object.entries(part ?? {}));
    const words = [memory.heap, memory.flags].map((array) => array.subarray(0, memory.used).join());
    const { nameWord: _, ...marks } = rest;
    const functions = [setup, supervisor, check, racy, ...bodies.flat()];
    this.#digests = {
      checker: digest(CHECKER.map(String)),
      scenario: digest([name, ...functions.map(String), JSON.stringify(marks), ...words]),
      options: digest(Object.entries(options).filter(([key]) => !FREE.includes(key))),
    };
  }

  /** The bytes of a checkpoint. */
  write(search: SearchCopy): Uint8Array {
    const checkpoint: Checkpoint = { ...this.#digests, search };
    return serialize(checkpoint);
  }

  /** **Throws** BusbarError ERR_BUSBAR_BAD_CHECKPOINT unless it is of this run's kind. */
  read(bytes: Uint8Array): SearchCopy {
    let checkpoint: Partial<Checkpoint> | undefined;
    try {
      checkpoint = deserialize(bytes) as typeof checkpoint;
    } catch (cause) {
      throw new BusbarError('ERR_BUSBAR_BAD_CHECKPOINT', 'not a checkpoint', { cause });
    }
    for (const part of ['checker', 'scenario', 'options'] as const) {
      if (checkpoint?.[part] === this.#digests[part]) continue;
      const isOne = typeof checkpoint?.[part] === 'string';
      const detail = isOne ? `it is of another ${part.replace(/s$/, '')}` : 'not a checkpoint';
      throw new BusbarError('ERR_BUSBAR_BAD_CHECKPOINT', detail);
    }
    return (checkpoint as Checkpoint).search;
  }
}

function digest(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Writes a file that is whole at each moment. */
export function writeWhole(file: string, bytes: Uint8Array): void {
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, bytes);
  renameSync(temporary, file);
}

export function readWhole(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new BusbarError('ERR_BUSBAR_BAD_CHECKPOINT', `cannot read ${file}`, { cause });
  }
}
