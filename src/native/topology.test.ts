// SPDX-License-Identifier: MIT
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MachineFiles, parseList } from './machine-files.ts';
import { readTopology, topology, topologyReason } from './topology.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/busbar-machine-`);
});

afterEach(() => rmSync(root, { recursive: true }));

function put(files: Record<string, string | number>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(root + path), { recursive: true });
    writeFileSync(root + path, `${text}\n`);
  }
}

function allow(list: string, online = list): void {
  put({
    '/proc/thread-self/status': `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${list}`,
    '/sys/devices/system/cpu/online': online,
  });
}

/** A machine whose core c holds the cpus c and c + cores, as Intel numbers them. */
function putMachine(packages: number, coresEach: number, nodesEach: number): void {
  const cores = packages * coresEach;
  for (let cpu = 0; cpu < 2 * cores; cpu++) {
    const core = cpu % cores;
    const folder = `/sys/devices/system/cpu/cpu${cpu}/topology`;
    put({
      [`${folder}/core_id`]: core % coresEach,
      [`${folder}/physical_package_id`]: Math.floor(core / coresEach),
      [`${folder}/thread_siblings_list`]: `${core},${core + cores}`,
    });
  }
  const nodes = packages * nodesEach;
  const perNode = cores / nodes;
  for (let node = 0; node < nodes; node++) {
    const first = node * perNode;
    const last = first + perNode - 1;
    const list = `${first}-${last},${first + cores}-${last + cores}`;
    put({ [`/sys/devices/system/node/node${node}/cpulist`]: list });
  }
}

function read(guess = [0]): ReturnType<typeof readTopology> {
  return readTopology(new MachineFiles(root), () => guess);
}

describe('the machine', () => {
  test('two packages of four nodes, 128 cores with two cpus each', () => {
    putMachine(2, 64, 2);
    allow('0-255');
    const { allowed, quotaCpus, usableCount } = read();
    expect(allowed.length).toBe(256);
    expect(usableCount).toBe(256);
    expect(quotaCpus).toBe(Number.POSITIVE_INFINITY);
    expect(new Set(allowed.map(({ core }) => core)).size).toBe(128);
    expect(allowed[0]).toEqual({ cpu: 0, core: 0, package: 0, node: 0, siblings: [0, 128] });
    expect(allowed[40]).toEqual({ cpu: 40, core: 40, package: 0, node: 1, siblings: [40, 168] });
    expect(allowed[255]).toEqual({
      cpu: 255,
      core: 127,
      package: 1,
      node: 3,
      siblings: [127, 255],
    });
  });

  test('only what taskset or a cpuset has left is listed, siblings whole', () => {
    putMachine(2, 8, 1);
    allow('3,8-9,19', '0-31');
    const { allowed, usableCount } = read();
    expect(allowed.map(({ cpu }) => cpu)).toEqual([3, 8, 9, 19]);
    expect(allowed.map(({ core }) => core)).toEqual([3, 8, 9, 3]);
    expect(allowed.map((each) => each.package)).toEqual([0, 1, 1, 0]);
    expect(allowed[3]?.siblings).toEqual([3, 19]);
    expect(usableCount).toBe(4);
  });

  test('cpus that a mask names but that are not online are left out', () => {
    putMachine(1, 2, 1);
    allow('0-511', '0-1,3');
    expect(read().allowed.map(({ cpu }) => cpu)).toEqual([0, 1, 3]);
  });

  test('more than 1024 cpus', () => {
    allow('0-4095');
    const { allowed, usableCount } = read();
    expect(usableCount).toBe(4096);
    expect(allowed[4095]).toEqual({ cpu: 4095, core: 4095, package: 0, node: 0, siblings: [4095] });
  });

  test('the newer name of the siblings goes first, and -1 is no package', () => {
    allow('0-1');
    put({
      '/sys/devices/system/cpu/cpu1/topology/core_cpus_list': '0-1',
      '/sys/devices/system/cpu/cpu1/topology/thread_siblings_list': '1',
      '/sys/devices/system/cpu/cpu1/topology/physical_package_id': -1,
    });
    expect(read().allowed[1]).toMatchObject({ core: 0, package: 0, siblings: [0, 1] });
  });

  test('an older kernel tells of the process only', () => {
    put({ '/proc/self/status': 'Cpus_allowed_list:\t2-3' });
    expect(read().allowed.map(({ cpu }) => cpu)).toEqual([2, 3]);
  });

  test('where nothing can be read, the guess is taken and the reason given', () => {
    const { allowed, usableCount } = read([4, 7]);
    expect(allowed.map(({ cpu, core }) => [cpu, core])).toEqual([
      [4, 4],
      [7, 7],
    ]);
    expect(usableCount).toBe(2);
    const files = new MachineFiles(root);
    expect(topologyReason(files, 'linux')).toMatch(/status cannot be read/);
    expect(topologyReason(files, 'win32')).toBe('not known on win32');
    allow('0');
    expect(topologyReason(files, 'linux')).toBe('');
  });

  test('files that make no sense are as good as none', () => {
    allow('0-', '0-1');
    expect(read([1]).allowed.map(({ cpu }) => cpu)).toEqual([1]);
    allow('0-1');
    put({
      '/sys/devices/system/cpu/cpu0/topology/core_cpus_list': 'x',
      '/sys/devices/system/cpu/cpu1/topology/core_cpus_list': '5-6',
      '/sys/devices/system/cpu/cpu1/topology/physical_package_id': '0x1',
      '/sys/devices/system/node/node0/cpulist': '1-99999999999',
    });
    const plain = { package: 0, node: 0 };
    expect(read().allowed).toEqual([
      { cpu: 0, core: 0, siblings: [0], ...plain },
      { cpu: 1, core: 1, siblings: [1], ...plain },
    ]);
  });

  test('this one has at least one cpu, and every cpu is its own sibling', () => {
    const { allowed, usableCount } = topology();
    expect(allowed.length).toBeGreaterThan(0);
    expect(usableCount).toBeGreaterThan(0);
    for (const { cpu, core, siblings } of allowed) {
      expect(siblings).toContain(cpu);
      expect(core).toBe(siblings[0]);
    }
  });
});

const V2 = '29 1 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';
const V1 = '33 1 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct';
const V1_SETS = '34 1 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset';

function join(mounts: string[], ...groups: string[]): void {
  allow('0-7');
  put({ '/proc/self/mountinfo': mounts.join('\n'), '/proc/thread-self/cgroup': groups.join('\n') });
}

function quota(): [quotaCpus: number, usableCount: number] {
  const { quotaCpus, usableCount } = read();
  return [quotaCpus, usableCount];
}

describe('quotas of control groups', () => {
  test('version 2: the smallest on the way up counts, rounded up', () => {
    join([V2], '0::/jobs/team/me');
    put({
      '/sys/fs/cgroup/jobs/cpu.max': '250000 100000',
      '/sys/fs/cgroup/jobs/team/cpu.max': '600000 100000',
      '/sys/fs/cgroup/jobs/team/me/cpu.max': 'max 100000',
      '/sys/fs/cgroup/others/cpu.max': '1000 100000',
    });
    expect(quota()).toEqual([2.5, 3]);
    put({ '/sys/fs/cgroup/jobs/team/me/cpu.max': '5000 10000' });
    expect(quota()).toEqual([0.5, 1]);
  });

  test('version 2: no quota, or more than there is', () => {
    join([V2], '0::/');
    expect(quota()).toEqual([Number.POSITIVE_INFINITY, 8]);
    put({ '/sys/fs/cgroup/cpu.max': '6400000 100000' });
    expect(quota()).toEqual([64, 8]);
  });

  test('version 2: a container that sees its own part of the hierarchy, by the full path', () => {
    join([V2.replace(' / ', ' /pods/me ')], '0::/pods/me/inner');
    put({
      '/sys/fs/cgroup/cpu.max': '200000 100000',
      '/sys/fs/cgroup/inner/cpu.max': '300000 100000',
      '/sys/fs/cgroup/pods/me/cpu.max': '100000 100000',
    });
    expect(quota()).toEqual([2, 2]);
  });

  test('version 2: a group outside what can be seen leaves the topmost one', () => {
    for (const path of ['/elsewhere', '/pods/meanwhile', '/../neighbour']) {
      join([V2.replace(' / ', ' /pods/me ')], `0::${path}`);
      put({ '/sys/fs/cgroup/cpu.max': '150000 100000' });
      expect(quota()).toEqual([1.5, 2]);
    }
  });

  test('version 1: the hierarchy of the cpu controller, -1 being none', () => {
    const folder = '/sys/fs/cgroup/cpu,cpuacct';
    join([V1_SETS, V1], '3:cpuset:/', '4:cpu,cpuacct:/docker/me', '1:name=systemd:/deep/down');
    put({
      [`${folder}/cpu.cfs_quota_us`]: -1,
      [`${folder}/cpu.cfs_period_us`]: 100_000,
      [`${folder}/docker/cpu.cfs_quota_us`]: 400_000,
      [`${folder}/docker/cpu.cfs_period_us`]: 100_000,
      [`${folder}/docker/me/cpu.cfs_quota_us`]: -1,
      [`${folder}/docker/me/cpu.cfs_period_us`]: 100_000,
    });
    expect(quota()).toEqual([4, 4]);
    put({ [`${folder}/docker/me/cpu.cfs_quota_us`]: 150_000 });
    expect(quota()).toEqual([1.5, 2]);
  });

  test('both versions at once, and a mount point with a blank in its name', () => {
    const odd = V2.replace('/sys/fs/cgroup ', '/sys/fs/my\\040groups ');
    join([V1, odd], '4:cpu,cpuacct:/a', '0::/b');
    put({
      '/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us': 300_000,
      '/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us': 100_000,
      '/sys/fs/my groups/b/cpu.max': '120000 100000',
    });
    expect(quota()).toEqual([1.2, 2]);
  });

  test('what makes no sense is no quota', () => {
    join([V2, 'nonsense', '1 - cgroup2'], 'nonsense', '0::/a:b');
    for (const text of ['', 'max', '0 0', '-5 100000', '100000', 'a b']) {
      put({ '/sys/fs/cgroup/a:b/cpu.max': text });
      expect(quota()).toEqual([Number.POSITIVE_INFINITY, 8]);
    }
  });
});

test('lists of the kernel are read as it writes them, and refused otherwise', () => {
  expect(parseList('')).toEqual([]);
  expect(parseList('0')).toEqual([0]);
  expect(parseList('0-2,7,5')).toEqual([0, 1, 2, 5, 7]);
  for (const text of [',', '1-', '-1', '2-1', '0x1', '1 2', '0-9999999999']) {
    expect(parseList(text), text).toBeUndefined();
  }
});
