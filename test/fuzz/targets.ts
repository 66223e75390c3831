// SPDX-License-Identifier: MIT
/** Fuzz tool: the list of all targets. */
import { brokerProtocol } from './broker-protocol.ts';
import { codecs } from './codecs.ts';
import { framing } from './framing.ts';
import { handles } from './handles.ts';
import { hostileArguments } from './hostile-arguments.ts';
import { packets } from './packets.ts';
import type { FuzzTarget } from './target.ts';
import { udpIntake } from './udp-intake.ts';
import { writers } from './writers.ts';

export const TARGETS: readonly FuzzTarget[] = [
  codecs,
  brokerProtocol,
  framing,
  udpIntake,
  handles,
  hostileArguments,
  packets,
  writers,
];
