// SPDX-License-Identifier: MIT
/** Example statsd: receives lines over TCP and Unix sockets, on one executor. */

import { rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { DelimiterCodec } from 'busbar/framer';
import { type TcpLink, TcpServer } from 'busbar/link';
import type { Monitor } from 'busbar/metrics';
import { BufferPool } from 'busbar/pool';
import type { Gatherer } from './gatherer.ts';

/** Where to listen. */
export interface StreamPlaces {
  /** A numeric address. */
  readonly host: string;
  readonly tcpPort: number | undefined;
  readonly unixPath: string | undefined;
}

/** The longest line: as much as fits a UDP datagram. */
const LINE_BYTES_MAX = 65_507;
const BUFFER_BYTES = 65_536;
/** Connections at once, TCP and Unix each. Further ones are closed after they are accepted. */
const STREAMS_MAX = 512;
/** Buffers of a separate pool: peers that stop within long lines take none from UDP. */
const BUFFERS = 64;
/** Peers whose errors are printed in one interval; others are only counted. */
const COMPLAINTS_MAX = 10;

const LINES = new DelimiterCodec('\n', { tooLong: 'skip' });

/** Listens on a TCP port and a Unix socket; passes each line to the gatherer. */
export class LineStreams {
  readonly #gatherer: Gatherer;
  readonly #pool: BufferPool;
  readonly #complain: (what: string) => void;
  /** By what is connected to. */
  readonly #servers: Map<string, TcpServer> = new Map();
  #complaints = 0;

  private constructor(gatherer: Gatherer, complain: (what: string) => void) {
    this.#gatherer = gatherer;
    this.#complain = complain;
    this.#pool = BufferPool.create({ bufferSize: BUFFER_BYTES, bufferCount: BUFFERS });
  }

  /**
   * Listens. Calls `complain` with a message about each peer that sent invalid lines.
   *
   * **Throws** (rejects) ERR_BUSBAR_LINK_REFUSED.
   */
  static async open(
    places: StreamPlaces,
    gatherer: Gatherer,
    complain: (what: string) => void,
  ): Promise<LineStreams> {
    const streams = new LineStreams(gatherer, complain);
    const { host, tcpPort, unixPath } = places;
    try {
      if (tcpPort !== undefined) await streams.#listen('tcp', { host, port: tcpPort });
      if (unixPath !== undefined) {
        // A crashed executor may have left it; the host has checked that no process listens.
        rmSync(unixPath, { force: true });
        await streams.#listen('unix', { path: unixPath });
      }
    } catch (error) {
      streams.destroy();
      throw error;
    }
    return streams;
  }

  /** Shows its parts. */
  watch(monitor: Monitor): void {
    monitor.watch('lines', this.#pool);
    for (const [name, server] of this.#servers) monitor.watch(name, server);
  }

  /** Begins a new interval: errors are printed again. */
  nextInterval(): void {
    this.#complaints = 0;
  }

  /** Stops at once; unfinished lines are dropped. */
  destroy(): void {
    for (const server of this.#servers.values()) server.destroy();
  }

  async #listen(
    name: string,
    where: { host: string; port: number } | { path: string },
  ): Promise<void> {
    const server = await TcpServer.listen(this.#pool, {
      ...where,
      codec: () => LINES,
      handler: (link) => this.#handle(link),
      maxFrameBytes: LINE_BYTES_MAX,
      maxLinks: STREAMS_MAX,
      onError: (error) => this.#complain(error.message),
    });
    this.#servers.set(name, server);
  }

  #handle(link: TcpLink): {
    onFrame(offset: number, length: number): void;
    onEnd(): void;
    onClose(link: TcpLink, error: Error | undefined): void;
  } {
    const { bytes } = this.#pool;
    const gatherer = this.#gatherer;
    const peer = peerOf(link);
    let malformed = 0;
    let skipped = 0;
    gatherer.tally.streams++;
    const take = (offset: number, length: number): void => {
      if (!gatherer.takeLine(bytes, offset, offset + length)) malformed++;
      noteSkipped();
    };
    const noteSkipped = (): void => {
      const { skippedFrames } = link.framer.stats();
      gatherer.tally.tooLong += skippedFrames - skipped;
      skipped = skippedFrames;
    };
    return {
      onFrame: take,
      onEnd: () => {
        // The last line may lack its end.
        const { framer } = link;
        if (framer.finishFrame()) take(framer.frameOffset, framer.frameLength);
      },
      onClose: (_link, error) => {
        noteSkipped();
        if (error !== undefined) gatherer.tally.failedStreams++;
        if (malformed + skipped === 0 && error === undefined) return;
        if (this.#complaints++ >= COMPLAINTS_MAX) return;
        const why = error === undefined ? '' : `; ${error.message}`;
        this.#complain(`${peer}: ${malformed} malformed lines, ${skipped} too long${why}`);
      },
    };
  }
}

function peerOf({ socket }: TcpLink): string {
  const address = socket instanceof Socket ? socket.remoteAddress : undefined;
  return address === undefined ? 'a Unix socket' : `${address}:${(socket as Socket).remotePort}`;
}
