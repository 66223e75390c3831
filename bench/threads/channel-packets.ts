// SPDX-License-Identifier: MIT
/** The threads of the cases that carry packets of 64 bytes: who sends, and who echoes. */

import {
  type ChannelHandle,
  PacketChannel,
  type PacketReceiver,
  type PacketSender,
} from 'busbar/channel';
import { Packet } from 'busbar/packet';
import { BufferPool, type BufferPoolHandle, NO_BUFFER } from 'busbar/pool';
import { NOTHING, type Outcome } from './control.ts';
import { checkMessage, MESSAGE_BYTES, nextNumber, writeMessage } from './message.ts';
import type { Role } from './role.ts';
import { listen } from './socket.ts';

export const CAPACITY = 1024;
/** More than the channel and both threads' caches hold. */
export const BUFFER_COUNT = 4096;
export const BATCH = 64;

export interface PacketSourceData {
  readonly pool: BufferPoolHandle;
  readonly channel: ChannelHandle;
  /** Length of a packet; its first {@link MESSAGE_BYTES} are written. */
  readonly length: number;
}

export interface EchoData {
  readonly pool: BufferPoolHandle;
  /** Where messages come from, and where they go back to. */
  readonly there: ChannelHandle;
  readonly back: ChannelHandle;
}

/** Sends messages one by one: a buffer is taken, filled, and handed over by its number. */
export function createPacketSource(data: PacketSourceData): Role {
  const pool = BufferPool.attach(data.pool);
  const sender = PacketChannel.attach(pool, data.channel).sender();
  return {
    run(ops) {
      for (let i = 0, number = 0; i < ops; i++, number = nextNumber(number)) {
        sendMessage(pool, sender, number);
      }
      return NOTHING;
    },
    close() {
      sender.close();
      pool.detach();
    },
  };
}

/** Sends messages in batches of packets. */
export function createPacketBatchSource(data: PacketSourceData): Role {
  const pool = BufferPool.attach(data.pool);
  const sender = PacketChannel.attach(pool, data.channel).sender();
  const packets: Packet[] = [];
  return {
    run(ops) {
      const { view } = pool;
      let number = 0;
      for (let i = 0; i < ops; i += BATCH) {
        for (let k = 0; k < BATCH; k++, number = nextNumber(number)) {
          const id = acquireSpinning(pool);
          const offset = pool.offsetOf(id);
          writeMessage(view, offset, number);
          packets[k] = Packet.wrap(pool, id, offset, data.length);
        }
        for (let begin = 0; begin < BATCH; ) begin += sender.trySendBatch(packets, begin, BATCH);
      }
      return NOTHING;
    },
    close() {
      sender.close();
      pool.detach();
    },
  };
}

/** Sends every packet back once it has read it; looks for the next without a pause. */
export function createSpinningEcho(data: EchoData): Role {
  const { pool, receiver, sender, close } = attachEcho(data);
  return {
    run(ops) {
      for (let i = 0, number = 0; i < ops; ) {
        if (!tryEcho(pool, receiver, sender, number)) continue;
        number = nextNumber(number);
        i++;
      }
      return NOTHING;
    },
    close,
  };
}

/** The same, looking once per turn of its event loop, in which it also serves a socket. */
export async function createTurningEcho(data: EchoData): Promise<Role> {
  const { pool, receiver, sender, close } = attachEcho(data);
  const server = await listen();
  return {
    run: (ops) =>
      new Promise<Outcome>((resolve, reject) => {
        let left = ops;
        let number = 0;
        const turn = (): void => {
          try {
            if (tryEcho(pool, receiver, sender, number)) {
              number = nextNumber(number);
              if (--left === 0) {
                resolve(NOTHING);
                return;
              }
            }
            setImmediate(turn);
          } catch (error) {
            reject(error);
          }
        };
        turn();
      }),
    close() {
      server.close();
      close();
    },
  };
}

/** Receives packets as objects, once per turn of its event loop all that are there. */
export function createTurningSink(data: PacketSourceData): Role {
  const pool = BufferPool.attach(data.pool);
  const receiver = PacketChannel.attach(pool, data.channel).receiver();
  let number = 0;
  const take = (packet: Packet): void => {
    checkMessage(pool.view, packet.offset, number);
    number = nextNumber(number);
    packet.release();
  };
  return {
    run: (ops) =>
      new Promise<Outcome>((resolve, reject) => {
        let left = ops;
        number = 0;
        const turn = (): void => {
          try {
            left -= receiver.drain(take);
            if (left === 0) resolve(NOTHING);
            else setImmediate(turn);
          } catch (error) {
            reject(error);
          }
        };
        turn();
      }),
    close() {
      receiver.close();
      pool.detach();
    },
  };
}

/** Takes a buffer, writes message `number` into it and sends it, spinning where it must wait. */
export function sendMessage(pool: BufferPool, sender: PacketSender, number: number): void {
  const id = acquireSpinning(pool);
  const offset = pool.offsetOf(id);
  writeMessage(pool.view, offset, number);
  while (!sender.trySendRegion(id, offset, MESSAGE_BYTES));
}

/** True: message `number` was there, and was read, checked and given back to the pool. */
export function tryTakeMessage(
  pool: BufferPool,
  receiver: PacketReceiver,
  number: number,
): boolean {
  const id = receiver.tryReceiveRegion();
  if (id === NO_BUFFER) return false;
  checkMessage(pool.view, receiver.offset, number);
  pool.release(id);
  return true;
}

function tryEcho(
  pool: BufferPool,
  receiver: PacketReceiver,
  sender: PacketSender,
  number: number,
): boolean {
  const id = receiver.tryReceiveRegion();
  if (id === NO_BUFFER) return false;
  const { offset } = receiver;
  checkMessage(pool.view, offset, number);
  while (!sender.trySendRegion(id, offset, MESSAGE_BYTES));
  return true;
}

function acquireSpinning(pool: BufferPool) {
  let id = pool.tryAcquire();
  // The receiver is behind. It spins too, so trying again is the fastest way to wait.
  while (id === NO_BUFFER) id = pool.tryAcquire();
  return id;
}

function attachEcho(data: EchoData) {
  const pool = BufferPool.attach(data.pool);
  const receiver = PacketChannel.attach(pool, data.there).receiver();
  const sender = PacketChannel.attach(pool, data.back).sender();
  const close = (): void => {
    receiver.close();
    sender.close();
    pool.detach();
  };
  return { pool, receiver, sender, close };
}
