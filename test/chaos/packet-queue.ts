// SPDX-License-Identifier: MIT
/** Test tool: a queue of packets for a receiver that may be slow, or dead for a while. */
import type { PacketSender } from 'busbar/channel';
import type { Packet } from 'busbar/packet';

/** How long until the next try to send to a channel whose receivers are all dead. */
const RETRY_MS = 1;

export class PacketQueue {
  readonly #packets: Packet[] = [];
  readonly #send: (packet: Packet) => Promise<void>;
  #isBusy = false;

  /** `send` takes a packet over; what it throws is thrown on, unhandled. */
  constructor(send: (packet: Packet) => Promise<void>) {
    this.#send = send;
  }

  get isEmpty(): boolean {
    return this.#packets.length === 0;
  }

  push(packet: Packet): void {
    this.#packets.push(packet);
    if (!this.#isBusy) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#isBusy = true;
    for (let packet = this.#packets[0]; packet !== undefined; packet = this.#packets[0]) {
      await this.#send(packet);
      this.#packets.shift();
    }
    this.#isBusy = false;
  }
}

/** Sends, waiting for room, and for a new receiver if all have died. */
export async function sendOn(sender: PacketSender, packet: Packet): Promise<void> {
  if (sender.trySend(packet)) return;
  for (;;) {
    try {
      return await sender.send(packet);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_BUSBAR_CHANNEL_PEER_DIED') throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
