// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage, request as send } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BufferPool } from '../pool/index.ts';
import { Exporter, Monitor } from './index.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(`${tmpdir()}/busbar-exporter-`);
});
afterAll(() => rmSync(folder, { recursive: true }));

function makeMonitor(): Monitor {
  const monitor = new Monitor({ program: 'test' });
  monitor.watch('pool', BufferPool.create({ bufferSize: 64, bufferCount: 8, maxThreads: 2 }));
  return monitor;
}

interface Reply {
  readonly status: number | undefined;
  readonly text: string;
  readonly headers: IncomingMessage['headers'];
}

function ask(options: object): Promise<Reply> {
  return new Promise((resolve, reject) => {
    get({ agent: false, ...options }, (response) => {
      const { statusCode: status, headers } = response;
      let text = '';
      response.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve({ status, text, headers }));
    }).on('error', reject);
  });
}

test('at a path it serves this user: snapshot, metrics, probes, the page', async () => {
  const path = `${folder}/a.sock`;
  const monitor = makeMonitor();
  const exporter = await Exporter.listen(monitor, { path });
  expect([exporter.path, exporter.url, exporter.token]).toEqual([path, '', '']);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const at = (place: string): Promise<Reply> => ask({ socketPath: path, path: place });
  expect(JSON.parse((await at('/snapshot')).text)).toMatchObject({ version: 1, program: 'test' });
  const { text, headers } = await at('/metrics');
  expect(text).toContain('busbar_pool_buffer_limit{busbar_pool_name="pool"} 8\n');
  expect(headers['content-type']).toContain('version=0.0.4');
  expect(await at('/live')).toMatchObject({ status: 200, text: 'ok\n' });
  expect(await at('/ready')).toMatchObject({ status: 200 });
  monitor.check('cache', () => 'cold');
  expect(await at('/live')).toMatchObject({ status: 200 });
  expect(await at('/ready')).toMatchObject({ status: 503, text: 'cache: cold\n' });
  const page = await at('/');
  const nonce = /<script type="module" nonce="([^"]+)"/.exec(page.text)?.[1];
  expect(page.headers['content-security-policy']).toContain(`script-src 'nonce-${nonce}'`);
  for (const odd of ['//', '/x', '/%', '*', '/snapshot/']) {
    expect(await at(odd), odd).toMatchObject({ status: 404 });
  }
  await exporter.close();
  expect(existsSync(path)).toBe(false);
});

test('at a port it asks for a token, and for the name of this machine', async () => {
  const exporter = await Exporter.listen(makeMonitor(), { port: 0 });
  const { port, searchParams } = new URL(exporter.url);
  expect(searchParams.get('token')).toBe(exporter.token);
  expect(exporter.token).toMatch(/^[0-9a-f]{32}$/);
  expect(inspect(exporter)).not.toContain(exporter.token);
  const at = (path: string, headers = {}): Promise<Reply> =>
    ask({ host: '127.0.0.1', port, path, headers });
  expect(await at('/snapshot')).toMatchObject({ status: 401 });
  expect(await at('/snapshot?token=wrong')).toMatchObject({ status: 401 });
  expect(await at(`/snapshot?token=${exporter.token}`)).toMatchObject({ status: 200 });
  const authorization = `Bearer ${exporter.token}`;
  expect(await at('/metrics', { authorization })).toMatchObject({ status: 200 });
  expect(await at('/live')).toMatchObject({ status: 200 });
  expect(await at('/live', { host: 'stranger.example' })).toMatchObject({ status: 403 });
  const posted = await new Promise<number | undefined>((resolve, reject) => {
    send({ host: '127.0.0.1', port, method: 'POST', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end('x');
  });
  expect(posted).toBe(405);
  await exporter.close();
  const open = await Exporter.listen(makeMonitor(), { port: 0, token: '' });
  const { port: openPort } = new URL(open.url);
  const reply = await ask({ host: '127.0.0.1', port: openPort, path: '/metrics' });
  expect(reply.status).toBe(200);
  await open.close();
});

test('the live view comes as events, until the reader leaves', async () => {
  const path = `${folder}/view.sock`;
  const monitor = makeMonitor();
  const exporter = await Exporter.listen(monitor, { path });
  const first = await new Promise<string>((resolve, reject) => {
    const request = get({ socketPath: path, path: '/view', agent: false }, (response) => {
      response.setEncoding('utf8').once('data', (text) => {
        request.destroy();
        resolve(text);
      });
    }).on('error', reject);
  });
  const view = JSON.parse(first.replace(/^data: /, ''));
  expect(view.tables[0].columns.slice(0, 3)).toEqual(['pool', 'capacity', 'freeShared']);
  expect(view.tables[0].rows[0].cells.slice(0, 2)).toEqual(['pool', '8']);
  await exporter.close();
});

test('a socket that a killed process has left is replaced, another one is not', async () => {
  const path = `${folder}/taken.sock`;
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(path, resolve));
  const refused = { code: 'ERR_BUSBAR_LINK_REFUSED' };
  await expect(Exporter.listen(makeMonitor(), { path })).rejects.toMatchObject(refused);
  await new Promise((resolve) => other.close(resolve));
  const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => {
    process.kill(process.pid, 'SIGKILL');
  });`;
  spawnSync(process.execPath, ['-e', program]);
  expect(existsSync(path)).toBe(true);
  const exporter = await Exporter.listen(makeMonitor(), { path });
  expect(await ask({ socketPath: path, path: '/live' })).toMatchObject({ status: 200 });
  await exporter.close();
  writeFileSync(path, 'a file of the user');
  await expect(Exporter.listen(makeMonitor(), { path })).rejects.toMatchObject(refused);
  expect(existsSync(path)).toBe(true);
});

test('wrong arguments are named', async () => {
  const monitor = makeMonitor();
  const listen = (options: object): Promise<Exporter> => Exporter.listen(monitor, options);
  await expect(Exporter.listen({} as never)).rejects.toThrow(/^monitor must be a Monitor/);
  await expect(listen({ port: -1 })).rejects.toThrow(/^port must be/);
  await expect(listen({ path: '' })).rejects.toThrow(/^path must not be empty/);
  await expect(listen({ path: 7 })).rejects.toThrow(/^path must be a string/);
  await expect(listen({ port: 0, path: '/x' })).rejects.toThrow('must not have both port and path');
  await expect(listen({ port: 0, token: 'a b' })).rejects.toThrow(/^token must be of letters/);
  await expect(listen({ pot: 0 })).rejects.toThrow(/^there is no option "pot"/);
});
