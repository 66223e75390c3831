// SPDX-License-Identifier: MIT
/** `busbar/bus`: publish and subscribe by subject, and the parts of brokers of one's own. */
/// <reference types="node" preserve="true" />

export { Bus } from './bus.ts';
export { BusMessage } from './bus-message.ts';
export type {
  BusOptions,
  Overflow,
  RepliesOptions,
  RequestOptions,
  SubscribeOptions,
  SubscriptionLimit,
} from './bus-options.ts';
export type { BusStats } from './bus-stats.ts';
export { type BusHandler, BusSubscription } from './bus-subscription.ts';
export type { MessageReader } from './clients/arrivals.ts';
export {
  Backpressure,
  type BackpressureLimits,
  type Elsewhere,
  type PressedClient,
} from './clients/backpressure.ts';
export {
  type ClientSubscriptionLimits,
  ClientSubscriptions,
  type SubscriptionRefusal,
} from './clients/client-subscriptions.ts';
export { FairShare, lineUnits, type Waiter } from './clients/fair-share.ts';
export {
  DECLINED,
  FanOut,
  type FanOutClient,
  type FanOutLanes,
  type FanOutMessage,
  type FanOutSubscription,
  NO_ROOM,
  TAKEN,
} from './clients/fan-out.ts';
export type { FanOutRest } from './clients/fan-out-rest.ts';
export { type ServerHome, ServerPeers } from './clients/server-peers.ts';
export type { Headers, PublishOptions } from './envelope.ts';
export { FrameMemory } from './frame-memory.ts';
export { KeyedHash } from './keyed-hash.ts';
export { KeyedMap } from './keyed-map.ts';
export { MatchCache } from './match-cache.ts';
export { MatchSet } from './match-set.ts';
export type { BusPayload } from './payloads.ts';
export type { Incoming } from './peer/incoming.ts';
export { type BusMember, executorPeers } from './peer/lane-group.ts';
export type { Outgoing } from './peer/outgoing.ts';
export type { Wanting } from './peer/own-interest.ts';
export type { PeerCarrier, PeerGroup, PeerMemory, RegionReceiver } from './peer/peer-carrier.ts';
export { GROUPS, PLAIN } from './peer/peer-layout.ts';
export { Peers, type PeersHome } from './peer/peers.ts';
export type { Beyond, RemoteMembers, SpreadGroup } from './peer/remote-interest.ts';
export type { QueueName } from './queue-names.ts';
export { RecentSubject } from './recent-subject.ts';
export {
  type Bytes,
  classifySubject,
  hashSubject,
  SUBJECT_INVALID,
  SUBJECT_LITERAL,
  SUBJECT_WILDCARD,
} from './subject.ts';
export { SubscriptionIndex } from './subscription-index.ts';
export type { Indexed, TokenNode } from './token-tree.ts';
