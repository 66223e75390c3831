// SPDX-License-Identifier: MIT
/**
 * Arena: a block of shared bytes, and what is done with many of them at once.
 *
 * V8 copies shared memory with relaxed loads and stores, byte by byte where source and target
 * differ modulo 8 (Node 20 to 26: 1 KiB 260 to 310 ns). `memory.copy` of WebAssembly is a memmove
 * (11 ns, 3 ns up to 64 bytes; 2026-11). So the block is the memory of a WebAssembly module,
 * arena.wat, where that can be had; otherwise a plain SharedArrayBuffer and the functions of
 * plain-arena.ts, which the model checker gets, too. The memory never grows.
 */

import { ARENA_CODE } from './arena-code.ts';
import type { Words } from './atomics.ts';
import { copyForeign, copyWords, fixedViewOf, KEPT_BYTES_MAX } from './bytes.ts';
import { type ArenaCode, plainCode } from './plain-arena.ts';
import { type Bytes, wordsOf } from './views.ts';

/** A WebAssembly.Memory whose buffer is shared. Structured-cloneable. */
export interface SharedMemory {
  readonly buffer: ArrayBufferLike;
}

/** What is used of the engine's WebAssembly. */
interface Engine {
  readonly Module: new (code: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly Memory: (new (shape: object) => SharedMemory) & { readonly prototype: object };
}

const PAGE_BYTES = 65_536;
/** Follows the bytes in a WebAssembly memory: a line for the owner of the arena, and the tables. */
const NOTE_BYTES = 64;
const CRC_TABLES_BYTES = 8 * 256 * 4;

/** The module, once for each thread; null where it cannot be compiled. */
let compiled: object | null | undefined;
/**
 * Arenas in memories that a thread may have at once, so that a program of very many pools leaves
 * address space to others: each takes 10 GiB of 128 TiB.
 */
const FAST_MAX = 1024;
let fastCount = 0;
/**
 * The smallest request that was refused: its pages, and how many arenas the thread had then. The
 * engine collects all garbage three times before it refuses (Chromium: from the 124th memory on),
 * so a request that is not smaller is not made again.
 */
let refusedPages = Infinity;
let refusedCount = Infinity;
/** Whether an arena of this thread uses the call sites for one arena only. */
let isHotTaken = false;

/**
 * The bytes `[0, byteLength)` of a shared block.
 *
 * A call site that always calls the same function costs 4 ns, one that calls those of several
 * instances 7 (2026-11). So a thread's first arena has the call sites `if (this.isHot)` to itself.
 *
 * **Threads** one object for each.
 */
export class Arena {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  readonly byteLength: number;
  /** The memory of the bytes; undefined if they lie in a plain SharedArrayBuffer. */
  readonly memory: SharedMemory | undefined;
  /** True if WebAssembly does the work in this thread. */
  readonly isFast: boolean;
  private readonly code: ArenaCode;
  private isHot: boolean;
  /** The last bytes copied in from elsewhere, and a view of them if they came twice. */
  private last: Bytes | undefined;
  private lastView: DataView<ArrayBufferLike> | undefined;

  constructor(block: SharedArrayBuffer, byteLength: number, memory: SharedMemory | undefined) {
    const code = memory === undefined ? undefined : instantiate(memory);
    this.bytes = new Uint8Array(block, 0, byteLength);
    this.view = new DataView(block, 0, byteLength);
    this.byteLength = byteLength;
    this.memory = memory;
    this.isFast = code !== undefined;
    this.code = code ?? plainCode(this.bytes, this.view);
    this.isHot = this.isFast && !isHotTaken;
    isHotTaken ||= this.isHot;
    if (this.isFast) fastCount++;
    this.last = undefined;
    this.lastView = undefined;
    if (this.isFast) arenas.set(this.bytes, this);
  }

  /** Copies `count` bytes from offset `from` to offset `to`. The ranges may overlap. */
  copy(to: number, from: number, count: number): void {
    if (this.isHot) this.code.copy(to, from, count);
    else copyCold(this.code, to, from, count);
  }

  /**
   * Copies `source[begin, end)`, which has been checked, to offset `at`. The source may be the
   * arena's own bytes.
   *
   * **Throws** what {@link copyForeign} throws; nothing but the range has changed then.
   */
  write(at: number, source: Bytes, begin: number, end: number): void {
    const count = end - begin;
    const view = this.lastView;
    if (view !== undefined && source === this.last && count <= KEPT_BYTES_MAX) {
      copyWords(this.view, at, view, begin, count);
    } else if (source === this.bytes) this.copy(at, begin, count);
    else this.writeForeign(at, source, begin, end);
  }

  /** A method of its own, so that callers can inline {@link write}. */
  private writeForeign(at: number, source: Bytes, begin: number, end: number): void {
    if (source === this.last && end - begin <= KEPT_BYTES_MAX) {
      this.lastView = fixedViewOf(source);
      if (this.lastView !== undefined) {
        copyWords(this.view, at, this.lastView, begin, end - begin);
        return;
      }
    } else {
      // Without WebAssembly it may be the model checker, for which each run must do the same.
      if (this.isFast) this.last = source;
      this.lastView = undefined;
    }
    copyForeign(this.bytes, at, source, begin, end);
  }

  /** Sets `count` bytes to `byte`. */
  fill(at: number, count: number, byte: number): void {
    this.code.fill(at, count, byte);
  }

  /** The first offset in `[begin, end)` that holds `byte`, or -1. */
  find(byte: number, begin: number, end: number): number {
    if (this.isHot) return this.code.find(begin, end, byte);
    return findCold(this.code, byte, begin, end);
  }

  /** True if two ranges hold the same bytes. */
  equal(one: number, other: number, count: number): boolean {
    return this.code.equal(one, other, count) !== 0;
  }

  /** The CRC-32C of `[begin, end)`, or of bytes whose CRC-32C is `crc` and these after them. */
  crc32c(begin: number, end: number, crc: number): number {
    return this.code.crc32c(begin, end, crc, this.byteLength + NOTE_BYTES) >>> 0;
  }

  /** This thread does not use it any more: another arena may take its place at the call sites. */
  retire(): void {
    if (this.isFast) fastCount--;
    if (this.isHot) isHotTaken = false;
    this.isHot = false;
    this.last = undefined;
    this.lastView = undefined;
  }
}

/** The arena whose `bytes` these are, if it is in use in this thread and fast. */
export function arenaOf(bytes: Bytes): Arena | undefined {
  return arenas.get(bytes);
}

const arenas = new WeakMap<Bytes, Arena>();

function copyCold(code: ArenaCode, to: number, from: number, count: number): void {
  code.copy(to, from, count);
}

function findCold(code: ArenaCode, byte: number, begin: number, end: number): number {
  return code.find(begin, end, byte);
}

/** A new block of zeroes for an arena. Without `memory`: it is plain. */
export function createBlock(
  byteLength: number,
  mayBeMemory: boolean,
): { block: SharedArrayBuffer; memory: SharedMemory | undefined } {
  const memory = mayBeMemory ? createMemory(byteLength) : undefined;
  const block = memory?.buffer ?? new SharedArrayBuffer(byteLength);
  return { block: block as SharedArrayBuffer, memory };
}

/** The words behind the bytes of a WebAssembly memory, for the owner of the arena. */
export function arenaNote(block: SharedArrayBuffer, byteLength: number): Words {
  return new Int32Array(block, byteLength, NOTE_BYTES / Int32Array.BYTES_PER_ELEMENT);
}

/** Undefined: there is no WebAssembly, or no address space, or this thread has enough of them. */
function createMemory(byteLength: number): SharedMemory | undefined {
  const bytes = byteLength + NOTE_BYTES + CRC_TABLES_BYTES;
  const pages = Math.ceil(bytes / PAGE_BYTES);
  const Memory = engine()?.Memory;
  if (Memory === undefined || fastCount >= FAST_MAX || compile() === undefined) return undefined;
  if (fastCount >= refusedCount && pages >= refusedPages) return undefined;
  try {
    const memory = new Memory({ initial: pages, maximum: pages, shared: true });
    instantiate(memory)?.crcTables(byteLength + NOTE_BYTES);
    return memory;
  } catch {
    refusedPages = Math.min(refusedPages, pages);
    refusedCount = Math.min(refusedCount, Math.max(fastCount, 1));
    return undefined;
  }
}

/**
 * The buffer of a shared WebAssembly.Memory with room for an arena; undefined for anything else.
 */
export function memoryBlock(memory: unknown, byteLength: number): SharedArrayBuffer | undefined {
  const prototype = engine()?.Memory.prototype;
  // Where there is no WebAssembly a memory cannot arrive, either.
  if (prototype === undefined) return undefined;
  const getter = Object.getOwnPropertyDescriptor(prototype, 'buffer')?.get;
  try {
    const block = wordsOf(getter?.call(memory))?.buffer;
    const least = byteLength + NOTE_BYTES + CRC_TABLES_BYTES;
    return block !== undefined && block.byteLength >= least ? block : undefined;
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Looked up late: the model checker takes it away. */
function engine(): Engine | undefined {
  return (globalThis as { WebAssembly?: Engine }).WebAssembly;
}

/** Undefined where the engine, a flag or a policy forbids it, or has no SIMD. */
function compile(): object | undefined {
  const WebAssembly = engine();
  if (WebAssembly === undefined) return undefined;
  if (compiled === undefined) {
    try {
      const code = Uint8Array.from(atob(ARENA_CODE), (character) => character.charCodeAt(0));
      compiled = new WebAssembly.Module(code);
    } catch {
      compiled = null;
    }
  }
  return compiled ?? undefined;
}

function instantiate(memory: SharedMemory): ArenaCode | undefined {
  const WebAssembly = engine();
  const program = compile();
  if (WebAssembly === undefined || program === undefined) return undefined;
  try {
    const instance = new WebAssembly.Instance(program, { busbar: { memory } });
    const code = instance.exports as ArenaCode;
    // The first call of each compiles it, which needs stack: now rather than in a later step.
    code.copy(0, 0, 0);
    code.fill(0, 0, 0);
    code.find(0, 0, 0);
    code.equal(0, 0, 0);
    code.crc32c(0, 0, 0, 0);
    return code;
  } catch {
    return undefined; // a memory of 64-bit addresses, or no space for code
  }
}
