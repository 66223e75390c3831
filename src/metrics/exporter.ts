// SPDX-License-Identifier: MIT
/** `Exporter`: shows a monitor's snapshots to other processes, over HTTP on a local socket. */

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { lstatSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { checkInteger, checkMade, checkOptions, show } from '../base/check.ts';
import { describeAs } from '../base/description.ts';
import { BusbarError } from '../base/errors.ts';
import { checkMonitor, type Monitor } from './monitor.ts';
import { pageOf } from './page.ts';
import { prometheusText } from './prometheus.ts';
import type { Snapshot } from './snapshot.ts';
import { ownPlace, restrict } from './socket-place.ts';
import { viewOf } from './view.ts';

/** Options of {@link Exporter.listen}. */
export interface ExporterOptions {
  /** Path of a Unix socket or Windows pipe. Default: one where `busbar top` looks. */
  readonly path?: string;
  /** A port of 127.0.0.1, in place of the path; 0 lets the system choose. */
  readonly port?: number;
  /**
   * What readers at the port must know; '' for nothing. Default: a random one. The path needs none:
   * its mode lets in this user only.
   */
  readonly token?: string;
}

const VIEW_MS = 1000;
/** Who looks wants to know who holds the buffers; who collects metrics does not. */
const HOLDERS = { holders: true };
const CONNECTIONS_MAX = 64;
const OPTIONS = ['path', 'port', 'token'];
const OUR_NAMES = /^(127\.0\.0\.1|localhost)(:\d+)?$/;

/**
 * Serves, to this machine only:
 *
 * - `/` a page with live figures, `/snapshot` a {@link Snapshot} as JSON;
 * - `/metrics` the text format of Prometheus;
 * - `/live` and `/ready` status 200 or 503 with the reasons, without a token.
 *
 * The token goes into the header `Authorization: Bearer …`, or `?token=…`. Does not keep the
 * process alive. Requests are served by the thread that listens, between its other work; nothing
 * is read while no one asks.
 */
export class Exporter {
  /** '' at a port. */
  readonly path: string;
  /** Where a browser finds the page, with the token; '' at a path. */
  readonly url: string;
  readonly token: string;
  readonly #server: Server;
  readonly #unlink: () => void;

  private constructor(server: Server, path: string, token: string) {
    checkMade(token !== undefined, new.target);
    const { port } = (path === '' ? server.address() : { port: 0 }) as AddressInfo;
    this.#server = server;
    this.path = path;
    this.token = token;
    const query = token === '' ? '' : `?token=${token}`;
    this.url = path === '' ? `http://127.0.0.1:${port}/${query}` : '';
    this.#unlink = () => {
      // Node removes it at close, but not when the process exits.
      if (path !== '') attempt(() => unlinkSync(path));
    };
    process.on('exit', this.#unlink);
  }

  /**
   * Listens.
   *
   * **Throws** (rejects) TypeError or RangeError naming the option; ERR_BUSBAR_LINK_REFUSED if the
   * place is taken or not allowed.
   */
  static async listen(monitor: Monitor, options: ExporterOptions = {}): Promise<Exporter> {
    checkMonitor(monitor);
    const { path, port, token } = checkOptions('options', options, OPTIONS);
    for (const [name, value] of Object.entries({ path, token })) {
      if (value === undefined || typeof value === 'string') continue;
      throw new TypeError(`${name} must be a string, got ${show(value)}`);
    }
    if (port !== undefined) checkInteger('port', port, 0, 65_535);
    if (port !== undefined && path !== undefined) {
      throw new TypeError('options must not have both port and path');
    }
    if (path === '') throw new RangeError('path must not be empty, got ""');
    if (token !== undefined && !/^[\w.~-]*$/.test(token)) {
      throw new RangeError(`token must be of letters, digits and _.~-, got ${show(token)}`);
    }
    const secret = port === undefined ? '' : (token ?? randomBytes(16).toString('hex'));
    const server = createServer((request, response) => {
      // Against DNS rebinding: a web page could reach this port by a host name of its own.
      const isOurs = port === undefined || OUR_NAMES.test(request.headers.host ?? '');
      if (isOurs) serve(monitor, secret, request, response);
      else response.writeHead(403, PLAIN).end('the name of this host is 127.0.0.1\n');
    });
    server.maxConnections = CONNECTIONS_MAX;
    // An open connection does not keep the process alive either.
    server.on('connection', (socket) => socket.unref());
    try {
      const place = port === undefined ? (path ?? ownPlace()) : '';
      if (place !== '' && (await isAbandoned(place))) attempt(() => unlinkSync(place));
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        const where = place === '' ? { host: '127.0.0.1', port } : { path: place };
        server.listen(where, resolve);
      });
      if (place !== '') restrict(place);
      // Later errors are those of connections that cannot be accepted: readers notice that.
      server.removeAllListeners('error').on('error', () => {});
      server.unref();
      return new Exporter(server, place, secret);
    } catch (cause) {
      server.close();
      throw new BusbarError('ERR_BUSBAR_LINK_REFUSED', (cause as Error).message, { cause });
    }
  }

  /** Stops listening and ends all requests. */
  close(): Promise<void> {
    process.off('exit', this.#unlink);
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function serve(
  monitor: Monitor,
  token: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const reply = (status: number, text: string, headers = {}): void => {
    response.writeHead(status, { ...PLAIN, ...headers }).end(text);
  };
  if (request.method !== 'GET') {
    reply(405, 'only GET\n', { allow: 'GET' });
    return;
  }
  const [pathname, query] = (request.url ?? '').split('?', 2) as [string, string?];
  if (pathname === '/live' || pathname === '/ready') {
    const { [pathname.slice(1) as 'live' | 'ready']: isFine, reasons } = monitor.health();
    reply(isFine ? 200 : 503, isFine ? 'ok\n' : `${reasons.join('\n')}\n`);
    return;
  }
  const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (token !== '' && !isSame(token, given ?? new URLSearchParams(query).get('token') ?? '')) {
    reply(401, 'a token is needed\n', { 'www-authenticate': 'Bearer' });
    return;
  }
  if (pathname === '/') {
    const nonce = randomBytes(16).toString('base64');
    const own = `style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; img-src data:`;
    const policy = `default-src 'none'; connect-src 'self'; ${own}; frame-ancestors 'none'`;
    const type = 'text/html; charset=utf-8';
    reply(200, pageOf(nonce, viewOf(undefined, monitor.snapshot(HOLDERS))), {
      'content-type': type,
      'content-security-policy': policy,
    });
  } else if (pathname === '/snapshot') {
    const text = `${JSON.stringify(monitor.snapshot(HOLDERS))}\n`;
    reply(200, text, { 'content-type': 'application/json' });
  } else if (pathname === '/metrics') {
    const type = 'text/plain; version=0.0.4; charset=utf-8';
    reply(200, prometheusText(monitor), { 'content-type': type });
  } else if (pathname === '/view') {
    stream(monitor, response);
  } else reply(404, 'there are /, /snapshot, /metrics, /live and /ready\n');
}

const PLAIN = {
  'content-type': 'text/plain; charset=utf-8',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** Server-sent events, until the reader leaves. */
function stream(monitor: Monitor, response: ServerResponse): void {
  response.writeHead(200, { ...PLAIN, 'content-type': 'text/event-stream' });
  let before: Snapshot | undefined;
  const send = (): void => {
    // A slow reader misses some.
    if (response.writableNeedDrain) return;
    const after = monitor.snapshot(HOLDERS);
    response.write(`data: ${JSON.stringify(viewOf(before, after))}\n\n`);
    before = after;
  };
  send();
  const timer = setInterval(send, VIEW_MS).unref();
  response.on('close', () => clearInterval(timer));
}

function isSame(token: string, given: string): boolean {
  const [one, other] = [Buffer.from(token), Buffer.from(given)];
  return one.length === other.length && timingSafeEqual(one, other);
}

/** True for the socket of a process that has ended without removing it; never for another file. */
async function isAbandoned(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
  });
}

function attempt(what: () => void): void {
  try {
    what();
  } catch {
    // It is gone already, or not ours.
  }
}

describeAs(Exporter, 'Exporter', ({ path, url }) => ({ path, url: url.replace(/\?.*/, '') }));
