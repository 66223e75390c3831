// SPDX-License-Identifier: MIT
/** Test worker: calls busbar/native on command, and serves a listener under its own name. */
import { createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import * as busbar from 'busbar/native';

const port = parentPort;
if (port === null) throw new Error('start this as a worker');

const { native, ...functions } = busbar;

const calls: Record<string, (...args: never[]) => unknown> = {
  ...functions,
  features: () => native.features,
  serve,
  spin,
};

port.on('message', async ({ call, args }: { call: string; args: never[] }) => {
  try {
    port.postMessage({ result: await calls[call]?.(...args) });
  } catch (error) {
    port.postMessage({ error });
  }
});

/** Sends the worker's name on every connection; resolves to the port it listens on. */
function serve(host: string, onPort: number): Promise<number> {
  const listener = busbar.listenReusePort({ host, port: onPort });
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(String(workerData.name));
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd: listener.fd }, () => resolve(listener.port));
  });
}

/** Uses the shim until the thread is terminated, and counts its rounds. */
function spin(memory: SharedArrayBuffer): void {
  const rounds = new Int32Array(memory);
  for (;;) {
    busbar.setThreadName(`spin ${rounds[0] & 7}`);
    busbar.setAffinity(busbar.getAffinity());
    Atomics.add(rounds, 0, busbar.threadId() > 0 ? 1 : 0);
  }
}
