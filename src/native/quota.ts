// SPDX-License-Identifier: MIT
/** How much processor time the cgroups above this process allow it. */
import type { MachineFiles } from './machine-files.ts';

/** One hierarchy of control groups, and where in it this thread is. */
interface Membership {
  readonly version: 1 | 2;
  /** Of the group, from the root of the hierarchy or of the namespace. */
  readonly path: string;
}

/** Where a hierarchy is mounted. */
interface Mount {
  readonly version: 1 | 2;
  /** The group that appears at `point`. */
  readonly root: string;
  readonly point: string;
}

/**
 * The smallest quota of this thread's control group and of the visible groups above it, in cpus:
 * 1.5 is one and a half cpus' time. `Infinity` without a quota.
 */
export function readQuotaCpus(files: MachineFiles): number {
  const groups = files.read('/proc/thread-self/cgroup') ?? files.read('/proc/self/cgroup') ?? '';
  const mounts = parseMounts(files.read('/proc/self/mountinfo') ?? '');
  let smallest = Number.POSITIVE_INFINITY;
  for (const { version, path } of parseMemberships(groups)) {
    const mount = mounts.find((each) => each.version === version);
    if (mount === undefined) continue;
    const read = version === 2 ? readQuota2 : readQuota1;
    for (const group of groupsUpwards(mount, path)) {
      smallest = Math.min(smallest, read(files, group));
    }
  }
  return smallest;
}

/** Lines of `number:controllers:path`; version 2 has no controllers. */
function parseMemberships(text: string): Membership[] {
  return text.split('\n').flatMap((line): Membership[] => {
    const parts = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (parts === null) return [];
    const [, controllers = '', path = '/'] = parts;
    if (controllers === '') return [{ version: 2, path }];
    return controllers.split(',').includes('cpu') ? [{ version: 1, path }] : [];
  });
}

/** Lines of `id parent device root point options … - type source superOptions`. */
function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line): Mount[] => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , root, point] = left.split(' ').map(unescapeMount);
    const [type, , options = ''] = right.split(' ');
    if (root === undefined || point === undefined) return [];
    if (type === 'cgroup2') return [{ version: 2, root, point }];
    if (type !== 'cgroup' || !options.split(',').includes('cpu')) return [];
    return [{ version: 1, root, point }];
  });
}

/** Undoes the octal escapes for blanks and the like (\040). */
function unescapeMount(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/**
 * The folders of a group and of those above it. A container may see the path from the machine's
 * root but only its own part of the hierarchy; the mount is then the group's own root.
 */
function groupsUpwards({ root, point }: Mount, path: string): string[] {
  const base = root === '/' ? '' : root;
  const isBelow = path === base || path.startsWith(`${base}/`);
  const names = (isBelow ? path.slice(base.length) : '').split('/').filter((name) => name !== '');
  const known = names.includes('..') ? [] : names;
  const upwards: string[] = [];
  for (let count = known.length; count >= 0; count--) {
    upwards.push([point === '/' ? '' : point, ...known.slice(0, count)].join('/'));
  }
  return upwards;
}

/** `cpu.max`: 'quota period' or 'max period', in microseconds. The topmost group has none. */
function readQuota2(files: MachineFiles, group: string): number {
  const parts = /^(\d+) (\d+)$/.exec(files.read(`${group}/cpu.max`) ?? '');
  return parts === null ? Number.POSITIVE_INFINITY : cpusOf(Number(parts[1]), Number(parts[2]));
}

/** A quota of -1 means no quota. */
function readQuota1(files: MachineFiles, group: string): number {
  const quotaUs = files.readInteger(`${group}/cpu.cfs_quota_us`) ?? -1;
  const periodUs = files.readInteger(`${group}/cpu.cfs_period_us`) ?? 0;
  return cpusOf(quotaUs, periodUs);
}

function cpusOf(quotaUs: number, periodUs: number): number {
  return quotaUs > 0 && periodUs > 0 ? quotaUs / periodUs : Number.POSITIVE_INFINITY;
}
