// SPDX-License-Identifier: MIT
/**
 * Fuzz tool: sockets and threads that are created once, since that takes too long for each
 * execution.
 */
import dns from 'node:dns';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Executor, ExecutorGroup } from 'busbar/executor';
import { LengthPrefixCodec } from 'busbar/framer';
import { TcpServer, UdpLink } from 'busbar/link';
import { Exporter, Monitor } from 'busbar/metrics';
import { Packet } from 'busbar/packet';
import { BufferPool } from 'busbar/pool';

const ROOT = dirname(createRequire(import.meta.url).resolve('busbar/package.json'));

/** What executors run here: it releases what it gets. */
export const EXECUTOR_MODULE: URL = pathToFileURL(`${ROOT}/build/test/fuzz/releasing.worker.js`);

// No resolver is asked for the invented names.
const { lookup } = dns;
dns.lookup = ((name: unknown, ...rest: unknown[]): void => {
  if (typeof name !== 'string' || isIP(name) !== 0) {
    Reflect.apply(lookup, dns, [name, ...rest]);
    return;
  }
  const error = Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
  queueMicrotask(() => (rest.at(-1) as (error: Error) => void)(error));
}) as never;
syncBuiltinESMExports();

export class Live {
  readonly pool: BufferPool;
  readonly #open = new Map<string, object>();
  readonly #closed = new Map<string, object>();

  private constructor() {
    this.pool = BufferPool.create({ bufferSize: 64, bufferCount: 256, maxThreads: 8 });
  }

  static async create(): Promise<Live> {
    const live = new Live();
    for (const subjects of [live.#open, live.#closed]) {
      const group = await live.startGroup();
      subjects.set('ExecutorGroup', group);
      subjects.set('Executor', await live.startExecutor());
      subjects.set('TcpServer', await live.listen());
      subjects.set('UdpLink', await live.openUdp());
      subjects.set('Exporter', await Exporter.listen(new Monitor(), { port: 0 }));
    }
    for (const subject of live.#closed.values()) await endOf(subject);
    return live;
  }

  startGroup(): Promise<ExecutorGroup> {
    return ExecutorGroup.start({ pool: this.pool, module: EXECUTOR_MODULE, count: 2 });
  }

  startExecutor(): Promise<Executor> {
    return Executor.start({ pool: this.pool, module: EXECUTOR_MODULE });
  }

  listen(): Promise<TcpServer> {
    return TcpServer.listen(this.pool, {
      port: 0,
      codec: () => new LengthPrefixCodec('u8'),
      handler: () => ({ onFrame() {} }),
    });
  }

  openUdp(): Promise<UdpLink> {
    return UdpLink.open(this.pool, { handler: () => ({ onMessage() {} }) });
  }

  /** An object of that class; undefined: it is none that is made once. */
  subject(name: string, isClosed: boolean): object | undefined {
    return (isClosed ? this.#closed : this.#open).get(name);
  }

  packet(): Packet {
    const packet = Packet.tryFrom(this.pool, new Uint8Array(3));
    if (packet === undefined) throw new Error('executors do not release what they get');
    return packet;
  }

  /** Undoes what a valid call of that method may have done. */
  async settle(name: string, method: string): Promise<void> {
    const subject = this.#open.get(name) as Partial<Settled> | undefined;
    if (method === 'pause') await subject?.resume?.();
    if (method === 'unref') subject?.ref?.();
  }

  async end(): Promise<void> {
    for (const subject of this.#open.values()) await endOf(subject);
    const { heldByThreads, inTransit } = this.pool.close();
    if (heldByThreads + inTransit > 0) {
      throw new Error(`sockets and threads keep ${heldByThreads + inTransit} buffers`);
    }
  }
}

interface Settled {
  resume(): unknown;
  ref(): void;
}

async function endOf(subject: object): Promise<void> {
  if (subject instanceof ExecutorGroup || subject instanceof Executor) await subject.stop();
  else await (subject as TcpServer | UdpLink | Exporter).close();
}
