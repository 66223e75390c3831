// SPDX-License-Identifier: MIT
/**
 * Measures the memory of idle connections and subscriptions, and the latency of pings among them.
 * Run by hand:
 *
 *   ulimit -n 20000; node build/bench/broker/crowd.main.js [idle [busy]]
 *
 * Starts the example broker on one thread, with its defaults, and clients in this process: `idle`
 * of them (10 000) say CONNECT and nothing else; `busy` of them (100) publish 16-byte messages,
 * each to itself, one after the other. Then one client has 100 000 subscriptions. Both ends need a
 * descriptor each, in two processes.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

const BROKER = fileURLToPath(new URL('../../broker/main.js', import.meta.url));
const PINGS = 500;
const PAUSE_MS = 2;
const SUBSCRIPTIONS = 100_000;

const idleCount = Number(process.argv[2] ?? 10_000);
const busyCount = Number(process.argv[3] ?? 100);

const options = ['--port', '0', '--executors', '1', '--seconds', '0'];
const broker = spawn(process.execPath, [BROKER, ...options], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const port = await new Promise<number>((resolve) => {
  let said = '';
  broker.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    const match = /Listening on [\d.]+:(\d+)/.exec(said);
    if (match !== null) resolve(Number(match[1]));
  });
});

function residentKib(): number {
  const status = readFileSync(`/proc/${broker.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
}

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    socket.once('error', reject);
    socket.once('data', () => {
      socket.write('CONNECT {"verbose":false}\r\n');
      resolve(socket);
    });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Median and 99th percentile of pings, in milliseconds. */
async function pings(socket: Socket): Promise<string> {
  const took: number[] = [];
  for (let i = 0; i < PINGS; i++) {
    const begin = performance.now();
    const answer = new Promise((resolve) => socket.once('data', resolve));
    socket.write('PING\r\n');
    await answer;
    took.push(performance.now() - begin);
    await pause(PAUSE_MS);
  }
  took.sort((a, b) => a - b);
  const at = (share: number): string => took[Math.floor(share * PINGS)].toFixed(2);
  return `ping p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

const pinger = await open();
console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}`);
const before = residentKib();
console.log(`alone: RSS ${(before / 1024).toFixed(0)} MiB, ${await pings(pinger)}`);
const idle: Socket[] = [];
while (idle.length < idleCount) {
  const some = Math.min(100, idleCount - idle.length);
  idle.push(...(await Promise.all(Array.from({ length: some }, open))));
}
await pause(1000);
const each = (residentKib() - before) / idleCount;
console.log(`${idleCount} idle: ${each.toFixed(1)} KiB RSS each, ${await pings(pinger)}`);
let round = 0;
for (let i = 0; i < busyCount; i++) {
  const socket = await open();
  socket.write(`SUB busy.${i} 1\r\n`);
  const say = (): boolean => socket.write(`PUB busy.${i} 16\r\n0123456789abcdef\r\n`);
  socket.on('data', () => {
    round++;
    say();
  });
  say();
}
const rounds = round;
const begin = performance.now();
const busy = await pings(pinger);
const rate = ((round - rounds) / (performance.now() - begin)) * 1000;
console.log(`and ${busyCount} busy: ${rate.toFixed(0)} messages/s, ${busy}`);
for (const socket of idle) socket.destroy();
await pause(2000);
const filled = residentKib();
let lines = '';
for (let i = 0; i < SUBSCRIPTIONS; i++) lines += `SUB orders.${i}.new ${i}\r\n`;
const many = await open();
many.write(`${lines}PING\r\n`);
await new Promise((resolve) => many.once('data', resolve));
const bytes = ((residentKib() - filled) * 1024) / SUBSCRIPTIONS;
const sent = lines.length / SUBSCRIPTIONS;
console.log(`a subscription: ${bytes.toFixed(0)} bytes RSS for ${sent.toFixed(0)} bytes sent`);
broker.kill();
process.exit(0);
