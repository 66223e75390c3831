// SPDX-License-Identifier: MIT
/** Test worker: an executor with a web server and a timer besides its mailbox. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutorContext } from 'busbar/executor';

/** Counters: where it listens, how often its timer rang. */
export const PORT = 0;
export const TICKS = 1;

export async function run(context: ExecutorContext): Promise<void> {
  const { counters } = context;
  const server = createServer((request, response) => {
    response.end(`${context.name} got ${request.url}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  counters[PORT] = (server.address() as AddressInfo).port;
  const timer = setInterval(() => {
    counters[TICKS]++;
  }, 1);
  context.mailbox.handle((packet) => {
    if (!context.host.trySend(packet)) packet.release();
  });
  // Never has enough, if it is told to be busy.
  const stopPoll = context.poll(() => (context.data === 'busy' ? 1 : 0));
  context.signal.addEventListener('abort', () => {
    stopPoll();
    clearInterval(timer);
    server.close();
    server.closeAllConnections();
  });
}
