// SPDX-License-Identifier: MIT
/** `busbar/channel`: bounded queues of packets, or of integers, between threads. */
/// <reference types="node" preserve="true" />

export { PacketChannel, WordChannel } from './channel.ts';
export type { ChannelStats } from './channel-core.ts';
export type { ChannelKind } from './channel-layout.ts';
export type { ChannelHandle, ChannelOptions } from './channel-options.ts';
export { PacketReceiver } from './packet-receiver.ts';
export { PacketSender } from './packet-sender.ts';
export { Receiver } from './receiver.ts';
export { Sender } from './sender.ts';
export { WordReceiver } from './word-receiver.ts';
export { WordSender } from './word-sender.ts';
