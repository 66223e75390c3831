// SPDX-License-Identifier: MIT
/** Finds and loads the shim, an addon written in C, once per thread; fails with a reason. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { BusbarError } from '../base/errors.ts';
import type { Feature } from './feature.ts';

/**
 * The functions that the shim exports. They return zero or more, or `-errno`. A function that the
 * platform lacks is undefined.
 */
export interface Shim {
  /** The version of this interface. A binary of other sources has another one. */
  readonly version: number;
  setAffinity?(mask: Uint8Array): number;
  /** Returns how many bytes of the mask the kernel has filled. */
  getAffinity?(mask: Uint8Array): number;
  threadId?(): number;
  setThreadName?(name: string): number;
  /** Fills `result`: file descriptor and port, or `-errno` and the step that failed. */
  listenReusePort?(host: string, port: number, backlog: number, result: Int32Array): void;
  /** See src/native/socket-writes.ts. */
  writeSockets?(bytes: Uint8Array, table: Int32Array, count: number): number;
}

/** The shim, or the reason why it is missing. */
export type Loaded =
  | { readonly shim: Shim; readonly reason: '' }
  | { readonly shim: undefined; readonly reason: string };

/** BUS_VERSION of native/bus.h. */
export const SHIM_VERSION = 4;

/** This file, the folder's all.js, or the bundle of a user; undefined in one of CommonJS. */
const HERE = import.meta.url as string | undefined;

/** The package's folder, seen from src/native and from dist/native alike. */
const PACKAGE = new URL('../../', HERE ?? 'file:///');

const IN_BUNDLE =
  'the shim is no part of the bundle that busbar is in; leave the package outside of it';

let loaded: Loaded | undefined;

/** Loads the shim at the first call. Never throws. */
export function loadShim(): Loaded {
  loaded ??= isBundled() ? refused(IN_BUNDLE) : load(PACKAGE, process.env.BUSBAR_NATIVE);
  return loaded;
}

/** Loads the shim of the package in `folder`, unless the environment switches it off. */
export function load(folder: URL, setting: string | undefined): Loaded {
  if (setting === 'off') return refused('switched off by BUSBAR_NATIVE=off');
  try {
    const require = createRequire(import.meta.url);
    const shim: Shim = require('node-gyp-build')(fileURLToPath(folder));
    if (shim.version === SHIM_VERSION) return { shim, reason: '' };
    return refused(`the binary is of version ${shim.version}, and ${SHIM_VERSION} is needed`);
  } catch (error) {
    return refused(explain(error, folder));
  }
}

function isBundled(): boolean {
  return HERE === undefined || !/\/native\/(shim\.ts|all\.js)$/.test(HERE);
}

function refused(reason: string): Loaded {
  return { shim: undefined, reason };
}

function explain(error: unknown, folder: URL): string {
  const { code, message, resource } = error as {
    [key in 'code' | 'message' | 'resource']?: unknown;
  };
  const where = `${process.platform}-${process.arch}`;
  if (code === 'ERR_DLOPEN_DISABLED') {
    // Also from NODE_OPTIONS: without a permission model nothing else shows it.
    if ((process as { permission?: unknown }).permission === undefined)
      return 'switched off by --no-addons';
    return 'the permission model of Node denies native addons (--allow-addons)';
  }
  if (deniesReading()) {
    return 'the permission model of Node denies reading the package (--allow-fs-read)';
  }
  if (code === 'ERR_ACCESS_DENIED') {
    // The loader also asks for /etc/alpine-release, to tell the C library.
    return `the permission model of Node denies reading ${String(resource)} (--allow-fs-read)`;
  }
  // Some bundlers replace `import.meta.url` by where the file was when they read it.
  if (HERE !== undefined && !existsSync(new URL(HERE))) return IN_BUNDLE;
  if (code === 'MODULE_NOT_FOUND') return 'the package node-gyp-build is not installed';
  if (/^No native build was found/.test(String(message))) {
    const libc = / libc=(\w+)/.exec(String(message))?.[1];
    const kind = process.platform === 'linux' ? `${where} with ${libc}` : where;
    const how = 'npm run build:native there makes one if there is a C compiler';
    return `there is no binary for ${kind} in ${fileURLToPath(folder)}; ${how}`;
  }
  return `the binary for ${where} does not load: ${String(message)}`;
}

/** The loader treats a folder that it may not read as empty. */
function deniesReading(): boolean {
  const { permission } = process as {
    permission?: { has(scope: string, reference?: string): boolean };
  };
  return permission !== undefined && !permission.has('fs.read', fileURLToPath(PACKAGE));
}

/** A function of the shim. **Throws** ERR_BUSBAR_NATIVE_UNAVAILABLE with the reason. */
export function requireCall<Name extends Exclude<keyof Shim, 'version'>>(
  name: Name,
): NonNullable<Shim[Name]> {
  const { shim, reason } = loadShim();
  const call = shim?.[name];
  if (call) return call;
  throw new BusbarError(
    'ERR_BUSBAR_NATIVE_UNAVAILABLE',
    `${name}: ${shim === undefined ? reason : notHere()}`,
  );
}

/** Whether the shim has a function, as a feature. */
export function offered(name: keyof Shim): Feature {
  const { shim, reason } = loadShim();
  if (shim === undefined) return Object.freeze({ available: false, reason });
  const available = shim[name] !== undefined;
  return Object.freeze({ available, reason: available ? '' : notHere() });
}

/** Why the shim of this platform lacks a function. */
export function notHere(): string {
  return `${process.platform} does not support it`;
}

/** The error for a negative result of a call. */
export function failure(step: string, negativeErrno: number): BusbarError {
  return new BusbarError('ERR_BUSBAR_NATIVE_FAILED', `${step}: ${errnoName(-negativeErrno)}`);
}

/** The name of an errno, such as 'ECONNREFUSED' for 111, if Node knows it. */
export function errnoName(errno: number): string {
  const known = Object.entries(constants.errno).find(([, value]) => value === errno);
  return known?.[0] ?? `errno ${errno}`;
}
