// SPDX-License-Identifier: MIT
/** What socket benchmarks report besides time: system calls and CPU time. */

/** CPU time and system calls since it was made, per message. */
export class Meter {
  readonly #began = process.cpuUsage();

  /** `calls`: reads and writes; the event loop's own come on top. */
  note(messages: number, calls: number): string {
    const { user, system } = process.cpuUsage(this.#began);
    const cpuNs = Math.round(((user + system) * 1000) / messages);
    return `${(calls / messages).toPrecision(2)} system calls, ${cpuNs} ns of CPU per message`;
  }
}
