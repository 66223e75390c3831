// SPDX-License-Identifier: MIT
/** `busbar/packet`: references on regions of buffers. */
/// <reference types="node" preserve="true" />

export type { HandleOptions } from './handling.ts';
export { Packet } from './packet.ts';
export { PacketWriter } from './packet-writer.ts';
export {
  readSendPacket,
  SEND_PACKET_WORDS,
  type SendPacket,
  writeSendPacket,
} from './send-packet.ts';
