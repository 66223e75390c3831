// SPDX-License-Identifier: MIT
/** LeakTracker: where packets were made, and which were never released. */

/** The record of one packet, kept only while leaks are tracked. */
export interface Trace {
  readonly bufferId: number;
  /** Stack of its creation. */
  readonly created: string;
  /** Stack of its release or send; undefined while it is held. */
  ended: string | undefined;
  /** True once the packet object was collected without having been released. */
  dropped: boolean;
}

/** A packet that is still held. */
export interface LeakReport {
  readonly bufferId: number;
  /**
   * Stack of its creation. A packet that a link received is created by busbar, not by a line of the
   * program: a first line `received by kv` has the `name` of that link. It is there for all packets
   * made while the link delivers, so also for those that a callback makes.
   */
  readonly created: string;
  /** True if it cannot be released any more: the object was collected. */
  readonly dropped: boolean;
}

/** The parts of Node's `process` used here; absent in other runtimes. */
interface HostProcess {
  once?(event: 'exit', listener: () => void): void;
  emitWarning?(warning: string, options: { type: string; code: string }): void;
}

const host = (globalThis as { process?: HostProcess }).process;

/** Trackers whose pool is attached; each reports when the process exits. */
const living = new Set<LeakTracker>();
let exitHookIsSet = false;

/**
 * Remembers this thread's packets of one pool. Costs a stack trace per packet; for debugging only.
 */
export class LeakTracker {
  readonly #held = new Set<Trace>();
  readonly #registry = new FinalizationRegistry<Trace>((trace) => {
    if (trace.ended !== undefined) return;
    trace.dropped = true;
    const text = `a packet was dropped without release; it was created\n${trace.created}`;
    warn(text, 'BusbarLeak', 'BUSBAR_LEAK');
  });

  #received: string = '';

  constructor() {
    living.add(this);
    if (exitHookIsSet) return;
    exitHookIsSet = true;
    host?.once?.('exit', reportAtExit);
  }

  /** Returns a `deliver` of the link `name` that names it in the reports of packets made by it. */
  receivedBy<A extends unknown[]>(
    name: string,
    deliver: (...args: A) => void,
  ): (...args: A) => void {
    return (...args) => {
      const outer = this.#received;
      this.#received = `received by ${name}\n`;
      try {
        deliver(...args);
      } finally {
        this.#received = outer;
      }
    };
  }

  /** A packet begins to hold a reference. */
  begin(packet: object, bufferId: number): Trace {
    const trace: Trace = {
      bufferId,
      created: this.#received + stackHere(),
      ended: undefined,
      dropped: false,
    };
    this.#held.add(trace);
    this.#registry.register(packet, trace);
    return trace;
  }

  /** The packet gave its reference up. */
  end(trace: Trace): void {
    trace.ended = stackHere();
    this.#held.delete(trace);
  }

  /** What is held now, oldest first. */
  report(): LeakReport[] {
    return Array.from(this.#held, ({ bufferId, created, dropped }) => ({
      bufferId,
      created,
      dropped,
    }));
  }

  /** The first of the held packets, for an error message. */
  summary(): string {
    const [first] = this.#held;
    return first === undefined ? '' : `; the first was created\n${first.created}`;
  }

  /** The thread has left the pool: nothing to report at exit. */
  close(): void {
    living.delete(this);
  }
}

function stackHere(): string {
  // The first three lines are the message, this function and its caller in this file.
  return framesOf(new Error('trace'), 3);
}

/** The stack of an error without its first lines. */
export function framesOf(error: Error, without: number, count?: number): string {
  const lines = (error.stack ?? '').split('\n');
  return lines.slice(without, count === undefined ? undefined : without + count).join('\n');
}

/** Node's warning, where there is Node. */
export function warn(text: string, type: string, code: string): void {
  host?.emitWarning?.(text, { type, code });
}

function reportAtExit(): void {
  for (const tracker of living) {
    const leaks = tracker.report();
    if (leaks.length === 0) continue;
    const shown = leaks
      .slice(0, 10)
      .map((leak) => `buffer ${leak.bufferId}, created\n${leak.created}`);
    // The only place where busbar prints: the program has switched the tracking on, and at exit
    // there is no other way to report.
    console.error(`busbar: ${leaks.length} packets were never released\n${shown.join('\n')}`);
  }
}
