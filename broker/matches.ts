// SPDX-License-Identifier: MIT
/** The broker: who gets a message, here and at other executors. */

import type { FanOut, ServerPeers } from 'busbar/bus';
import type { Connection } from './connection.ts';
import type { Message } from './message.ts';
import type { Subscription } from './subscription.ts';

export type Router = FanOut<Message, Subscription<Connection>>;
/** The other executors. */
export type Mesh = ServerPeers<Message, Subscription<Connection>>;
/** The matches of one subject. */
export type Matches = ReturnType<Router['find']>;
