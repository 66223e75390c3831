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
  type FanOutMessage,
  type FanOutSubscription,
  NO_ROOM,
  TAKEN,
} from './clients/fan-out.ts';
export { Publisher } from './clients/publisher.ts';
export { type ServerHome, ServerPeers } from './clients/server-peers.ts';
export type { Headers, PublishOptions } from './envelope.ts';
export type { BusPayload } from './payloads.ts';
export { type BusMember, executorPeers } from './peer/lane-group.ts';
export type { Wanting } from './peer/own-interest.ts';
export type { PeerCarrier, PeerGroup, RegionReceiver } from './peer/peer-carrier.ts';
export { RecentSubject } from './recent-subject.ts';
export {
  type Bytes,
  classifySubject,
  SUBJECT_INVALID,
  SUBJECT_LITERAL,
  SUBJECT_WILDCARD,
} from './subject.ts';
export type { SubscriptionSet } from './subscription-index.ts';
export type { Indexed } from './token-tree.ts';
