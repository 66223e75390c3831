// SPDX-License-Identifier: MIT
/**
 * Writers and their flusher, interrupted before each of their atomic accesses in turn: by a death,
 * by an exception, or by other threads.
 */
import { expect, test } from 'vitest';
import { LocalWriter, type ReservationTicket, type SharedWriter } from '../../src/writer/index.ts';
import { RING_SHAPE } from '../../src/writer/shared-writer-layout.ts';
import { dieAt, pauseAt, throwAt } from '../accesses.ts';
import { stride } from '../effort.ts';
import { type Actor, Stage, type StageShape } from './writer-stage.ts';

/** Messages of each writer after an interruption: they pass the ring of 16 epochs. */
const ROUNDS = 10;
/** And after every eighth. */
const MORE = 60;
const ACCESSES_MAX = 2_000;
const SMALL_RING = { segmentBits: 2, epochBits: 4, runAfter: 4 };

/** How many sequences of accesses have begun. */
let tests = 0;

const SHAPES: Record<string, StageShape> = {
  'runs of two messages': {
    bufferSize: 64,
    size: 8,
    regionCount: 32,
    ring: { ...RING_SHAPE, runAfter: 0 },
  },
  'one message a buffer, 2 regions': { bufferSize: 64, size: 40, regionCount: 2 },
  'one message a buffer, 4 segments, 16 epochs': {
    bufferSize: 64,
    size: 40,
    regionCount: 32,
    ring: SMALL_RING,
    epoch: -3,
  },
  'rooms around regions': {
    bufferSize: 64,
    size: 12,
    regionCount: 8,
    options: { headroom: 4, tailroom: 2, flush: { messages: 3 } },
  },
};

/** What the victim has, and what it is doing when it is stopped. */
interface Operation {
  /** Before: nothing is stopped. */
  readonly prepare?: ((stage: Stage, victim: Actor) => void) | undefined;
  readonly run: (stage: Stage, victim: Actor) => void;
  /** Ends what the operation has begun; `victim` may be dead, and has no writer then. */
  readonly settle?: (stage: Stage, victim: Actor) => void;
}

function sharedOf({ shared }: Actor): SharedWriter {
  if (shared === undefined) throw new Error('no shared writer');
  return shared;
}

function localOf({ local }: Actor): LocalWriter {
  if (local === undefined) throw new Error('no local writer');
  return local;
}

function join(stage: Stage, victim: Actor): void {
  stage.join(victim);
  stage.join(stage.actors[2]);
  for (let i = 0; i < 2; i++) stage.write(stage.actors[2], sharedOf(stage.actors[2]));
}

function openLocal(_stage: Stage, victim: Actor): void {
  victim.local = new LocalWriter(victim.flusher, _stage.shape.options);
}

/** Closes, again if it was stopped. */
function closeAll(_stage: Stage, { shared, local }: Actor): void {
  shared?.close();
  local?.close();
}

/** Reservations that the operation has made, and the ticket that is under way. */
let open: number[] = [];
let ticket: ReservationTicket;

function ignoreBad(end: () => void): void {
  try {
    end();
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_BUSBAR_BAD_RESERVATION') throw error;
  }
}

function endAll(actor: Actor): void {
  const { shared } = actor;
  if (shared === undefined) return;
  for (const at of open) ignoreBad(() => shared.abort(at));
}

const OPERATIONS: Record<string, Operation> = {
  'a shared writer is attached': {
    prepare: (stage) => void stage.join(stage.actors[2]),
    run: (stage, victim) => void stage.join(victim),
  },
  'messages through a shared writer': {
    prepare: join,
    run: (stage, victim) => stage.writeMany(victim, sharedOf(victim), 6),
  },
  'messages that nobody drains': {
    prepare: (stage, victim) => {
      join(stage, victim);
      stage.writeMany(stage.actors[2], sharedOf(stage.actors[2]), 3);
    },
    run: (stage, victim) => {
      for (let i = 0; i < 20; i++) stage.write(victim, sharedOf(victim));
      sharedOf(victim).flush();
      sharedOf(victim).flush();
    },
  },
  'reservations of a shared writer': {
    prepare: (stage, victim) => {
      join(stage, victim);
      open = [];
    },
    run: (stage, victim) => {
      const writer = sharedOf(victim);
      for (let i = 0; i < 3; i++) {
        const at = stage.reserve(victim, writer);
        if (at < 0) break;
        open.push(at);
        // Numbered in the order of reservation, each its own.
        stage.actors[1].next++;
      }
      for (const at of open.slice()) {
        writer.abort(at);
        open.splice(open.indexOf(at), 1);
      }
      writer.flush();
    },
    settle: (_stage, victim) => endAll(victim),
  },
  'a reservation goes from hand to hand': {
    prepare: (stage, victim) => {
      join(stage, victim);
      const writer = sharedOf(stage.actors[2]);
      open = [writer.tryReserve(4)];
      ticket = writer.handOver(open[0]);
    },
    run: (_stage, victim) => {
      const at = sharedOf(victim).takeOver(ticket);
      ticket = sharedOf(victim).handOver(at);
      sharedOf(victim).flush();
    },
    settle: (stage, victim) => {
      endAll(victim);
      // Whoever gave it away takes it back, if nobody else has.
      const giver = stage.actors.find(({ name }) => name === 2) as Actor;
      ignoreBad(() => sharedOf(giver).abort(sharedOf(giver).takeOver(ticket)));
    },
  },
  'a member leaves': {
    prepare: (stage, victim) => {
      join(stage, victim);
      sharedOf(victim).flush();
      stage.drain();
      stage.write(victim, sharedOf(victim));
      sharedOf(victim).tryReserve(1);
    },
    run: closeAll,
    settle: closeAll,
  },
  'a member leaves while there is no room': {
    prepare: (stage, victim) => {
      join(stage, victim);
      // Others reserve nothing meanwhile: what is left lies there until somebody delivers it.
      for (let i = 0; i < 40; i++) {
        stage.write(victim, sharedOf(victim));
        sharedOf(victim).flush();
      }
    },
    run: closeAll,
    settle: closeAll,
  },
  'the last member leaves': {
    prepare: (stage, victim) => {
      join(stage, victim);
      sharedOf(victim).flush();
      stage.drain();
      stage.write(victim, sharedOf(victim));
      for (const actor of stage.actors) if (actor !== victim) actor.shared?.close();
      sharedOf(victim).tryReserve(1);
    },
    run: closeAll,
    settle: closeAll,
  },
  'a local writer is made': { run: openLocal },
  'messages through a local writer': {
    prepare: openLocal,
    run: (stage, victim) => stage.writeMany(victim, localOf(victim), 6),
  },
  'a local writer whose reservations overlap': {
    prepare: openLocal,
    run: (stage, victim) => {
      const writer = localOf(victim);
      for (let i = 0; i < 2; i++) {
        stage.write(victim, writer);
        const at = writer.tryReserve(5);
        stage.write(victim, writer);
        if (at >= 0) writer.abort(at);
        writer.flush();
      }
    },
    settle: (_stage, { local }) => local?.abortOpen(),
  },
  'a local writer is closed': {
    prepare: (stage, victim) => {
      openLocal(stage, victim);
      stage.writeMany(victim, localOf(victim), 2);
      stage.write(victim, localOf(victim));
    },
    run: closeAll,
    settle: closeAll,
  },
  'a dead member is recovered': {
    prepare: (stage, victim) => {
      join(stage, victim);
      const dead = stage.actors[3];
      const writer = stage.join(dead);
      stage.write(dead, writer);
      writer.tryReserve(4);
      stage.write(victim, sharedOf(victim));
      dieAt(3, () => writer.flush(), stage.memory);
      stage.bury(dead);
    },
    run: (_stage, victim) => sharedOf(victim).recover(deadSlot),
  },
  'the receiver drains': {
    prepare: (stage, victim) => {
      stage.join(stage.actors[2]);
      stage.writeMany(stage.actors[0], sharedOf(stage.actors[0]), 4);
      stage.writeMany(stage.actors[2], sharedOf(stage.actors[2]), 4);
      // The receiver that it succeeds is only played: it lives on as a writer.
      takeRole(stage, victim);
    },
    run: (stage, victim) => {
      stage.drain(victim, 1);
      stage.drain(victim);
    },
  },
};

/** The slot of actor 3, which is dead in some operations. */
const deadSlot = 3;

function takeRole(stage: Stage, actor: Actor): void {
  // As if the present one had gone.
  const words = new Int32Array(stage.memory[1]);
  const at = words.indexOf(stage.receiver.pool.badge);
  words[at] = actor.pool.badge;
  actor.flusher.becomeReceiver();
  stage.receiver = actor;
}

function victimOf(stage: Stage): Actor {
  return stage.actors[1];
}

function prepare(shape: StageShape, { prepare }: Operation): { stage: Stage; victim: Actor } {
  const stage = new Stage(shape);
  const victim = victimOf(stage);
  prepare?.(stage, victim);
  return { stage, victim };
}

/** Each access in turn, or every {@link stride}-th; tests begin at different ones. */
async function forEachAccess(run: (k: number) => Promise<boolean>): Promise<void> {
  for (let k = 1 + (tests++ % stride()); await run(k); k += stride()) {
    if (k > ACCESSES_MAX) throw new Error('the operation has no end');
  }
}

for (const [shapeName, shape] of Object.entries(SHAPES)) {
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    test(`death, ${shapeName}: ${name}`, async () => {
      await forEachAccess(async (k) => {
        const { stage, victim } = prepare(shape, operation);
        const isDead = dieAt(k, () => operation.run(stage, victim), stage.memory);
        const { threadSlot } = victim.pool;
        const [host] = stage.actors;
        if (isDead) {
          stage.bury(victim);
          if (stage.receiver === victim) {
            host.flusher.becomeReceiver();
            stage.receiver = host;
          }
        }
        if (isDead) {
          stage.recover(threadSlot);
          operation.settle?.(stage, { ...victim, shared: undefined, local: undefined });
        } else {
          operation.settle?.(stage, victim);
        }
        if (!stage.actors.some(({ pool }) => pool.threadSlot === deadSlot)) {
          stage.recover(deadSlot);
        }
        stage.drain();
        expect(await stage.finish(k % 8 === 1 ? MORE : ROUNDS), `access ${k}`).toEqual([]);
        return isDead;
      });
    });

    test(`exception, ${shapeName}: ${name}`, async () => {
      await forEachAccess(async (k) => {
        const { stage, victim } = prepare(shape, operation);
        const blocks = stage.memory.slice(1);
        const isCut = throwAt(k, () => operation.run(stage, victim), blocks);
        operation.settle?.(stage, victim);
        if (!stage.actors.some(({ pool }) => pool.threadSlot === deadSlot)) {
          stage.recover(deadSlot);
        }
        stage.drain();
        expect(await stage.finish(ROUNDS), `access ${k}`).toEqual([]);
        return isCut;
      });
    });
  }

  test(`two recover one, ${shapeName}: at whatever access of the other`, async () => {
    const { prepare: kill } = OPERATIONS['a dead member is recovered'];
    await forEachAccess(async (k) => {
      const { stage, victim } = prepare(shape, { prepare: kill, run: () => undefined });
      const others = (): void => {
        sharedOf(stage.actors[0]).recover(deadSlot);
        stage.writeMany(stage.actors[0], sharedOf(stage.actors[0]), 3);
        stage.drain();
      };
      const hadAccess = pauseAt(k, others, () => sharedOf(victim).recover(deadSlot));
      stage.recover(deadSlot);
      expect(await stage.finish(ROUNDS), `access ${k}`).toEqual([]);
      return hadAccess;
    });
  });

  test(`standing still, ${shapeName}: others go round the ring meanwhile`, async () => {
    for (const rounds of [1, 4, 11, 15, 16, 31, 32, 33]) {
      // A ring of 16 epochs must not come to the same one: nothing could tell them apart.
      if (shape.ring !== undefined && rounds > 11) continue;
      await forEachAccess(async (k) => {
        const stage = new Stage(shape);
        const sleeper = victimOf(stage);
        const [host] = stage.actors;
        join(stage, sleeper);
        stage.writeSurely(host, sharedOf(host));
        const others = (): void => {
          for (let i = 0; i < rounds; i++) {
            stage.write(host, sharedOf(host));
            sharedOf(host).flush();
            if (i < 14) stage.drain();
          }
        };
        const hadAccess = pauseAt(k, others, () => stage.writeMany(sleeper, sharedOf(sleeper), 3));
        expect(await stage.finish(ROUNDS), `access ${k}, ${rounds} rounds`).toEqual([]);
        return hadAccess;
      });
    }
  });
}
