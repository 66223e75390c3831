// SPDX-License-Identifier: MIT
/** The cpus that this thread may use, and which of them share a core. */
import { availableParallelism } from 'node:os';
import { getAffinity } from './calling-thread.ts';
import { MachineFiles, parseList } from './machine-files.ts';
import { readQuotaCpus } from './quota.ts';

/** One cpu: a hardware thread, by the kernel's number. */
export interface CpuInfo {
  readonly cpu: number;
  /** Its physical core, named by the lowest cpu in it: unique on the whole machine. */
  readonly core: number;
  /** Its processor chip. */
  readonly package: number;
  /** Its NUMA node. */
  readonly node: number;
  /** The cpus of its core, ascending, itself and those not allowed included. */
  readonly siblings: readonly number[];
}

/** The part of the machine that this thread may use. */
export interface Topology {
  /** Ascending, at least one. */
  readonly allowed: readonly CpuInfo[];
  /** Processor time that control groups allow, in cpus; `Infinity` if they do not say. */
  readonly quotaCpus: number;
  /** How many threads can be busy all the time: allowed cpus, or the quota rounded up if less. */
  readonly usableCount: number;
}

/**
 * The cpus on which the calling thread may run (`taskset` and cpusets respected) and their order,
 * read from the kernel now. Where that cannot be read (`native.features.topology`), the cpus are
 * those of `getAffinity`, or as many from 0 on as Node knows of, each a core of its own. Never
 * throws.
 *
 * **Cost**: some four small files per cpu; not for hot paths.
 */
export function topology(): Topology {
  return readTopology(new MachineFiles(), guessAllowed);
}

function guessAllowed(): number[] {
  try {
    return getAffinity();
  } catch {
    return Array.from({ length: availableParallelism() }, (_, cpu) => cpu);
  }
}

/** Why `topology` has to guess; '' if it does not. */
export function topologyReason(
  files: MachineFiles = new MachineFiles(),
  platform: string = process.platform,
): string {
  if (platform !== 'linux') return `not known on ${platform}`;
  if (readAllowed(files) === undefined) return '/proc/self/status cannot be read';
  return files.read(`${CPUS}/online`) === undefined ? `${CPUS} cannot be read` : '';
}

const CPUS = '/sys/devices/system/cpu';
const NODES = '/sys/devices/system/node';

/** {@link topology} from any machine's files; `guess` provides the cpus where the files do not. */
export function readTopology(files: MachineFiles, guess: () => readonly number[]): Topology {
  const cpus = readAllowed(files) ?? guess();
  const nodes = readNodes(files);
  const allowed = cpus.map((cpu) => describe(files, cpu, nodes.get(cpu) ?? 0));
  const quotaCpus = readQuotaCpus(files);
  const usableCount = Math.max(1, Math.min(allowed.length, Math.ceil(quotaCpus)));
  return { allowed, quotaCpus, usableCount };
}

/** The mask of a thread may name cpus that are offline or do not exist. */
function readAllowed(files: MachineFiles): number[] | undefined {
  const status = files.read('/proc/thread-self/status') ?? files.read('/proc/self/status') ?? '';
  const mask = parseList(/^Cpus_allowed_list:\s*(\S*)$/m.exec(status)?.[1] ?? 'none');
  if (mask === undefined) return undefined;
  const online = files.readList(`${CPUS}/online`);
  const allowed = online === undefined ? mask : mask.filter((cpu) => online.includes(cpu));
  return allowed.length === 0 ? undefined : allowed;
}

function describe(files: MachineFiles, cpu: number, node: number): CpuInfo {
  const folder = `${CPUS}/cpu${cpu}/topology`;
  const list =
    files.readList(`${folder}/core_cpus_list`) ??
    files.readList(`${folder}/thread_siblings_list`) ??
    [];
  const siblings = list.includes(cpu) ? list : [cpu];
  const core = siblings[0] ?? cpu;
  // Some machines report -1 for unknown.
  const chip = Math.max(0, files.readInteger(`${folder}/physical_package_id`) ?? 0);
  return { cpu, core, package: chip, node, siblings };
}

function readNodes(files: MachineFiles): Map<number, number> {
  const nodes = new Map<number, number>();
  for (const name of files.names(NODES)) {
    const node = /^node(\d+)$/.exec(name)?.[1];
    if (node === undefined) continue;
    for (const cpu of files.readList(`${NODES}/${name}/cpulist`) ?? [])
      nodes.set(cpu, Number(node));
  }
  return nodes;
}
