// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Crew, type CrewOptions } from './writer-crew.ts';

const COUNT = 6_000;

async function runCrew(options: CrewOptions, threads: number, handsOver: boolean): Promise<void> {
  const crew = new Crew(options);
  for (let i = 0; i < threads; i++) crew.start(COUNT, 3, handsOver);
  await crew.all(crew.producers.map((producer) => producer.done));
  await crew.end();
  const committed = crew.producers.reduce((sum, producer) => sum + producer.committed, 0);
  expect(crew.checker.total, `seed ${crew.seed}`).toBe(committed);
}

test('threads that share a writer lose nothing, and each keeps its order', async () => {
  await runCrew({ bufferSize: 64, bufferCount: 64, isShared: true }, 3, false);
});

test('a reservation may be ended by another thread than made it', async () => {
  await runCrew({ bufferSize: 128, bufferCount: 48, isShared: true }, 3, true);
});

test('a shared writer that flushes by itself leaves nothing behind', async () => {
  const policy = 'turn';
  await runCrew({ bufferSize: 200, bufferCount: 40, isShared: true, policy }, 4, false);
});

test('threads with writers of their own feed one receiver that is slow', async () => {
  const keepsMax = 6;
  await runCrew(
    { bufferSize: 64, bufferCount: 24, regionCount: 2, isShared: false, keepsMax },
    4,
    false,
  );
});

test('writers of several threads that flush by themselves wake the receiver', async () => {
  const policy = { messages: 5 };
  await runCrew({ bufferSize: 256, bufferCount: 32, isShared: false, policy }, 2, false);
});
