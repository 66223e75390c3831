// SPDX-License-Identifier: MIT
/** Every benchmark case, in the order of the report. */

import { baselineCases } from './baseline.bench.ts';
import type { BenchCase } from './bench-case.ts';
import { busCases } from './bus.bench.ts';
import { calibrationCases } from './calibration.bench.ts';
import { copyCases } from './copy.bench.ts';
import { fanoutFloorCases } from './fanout-floor.bench.ts';
import { framerCases } from './framer.bench.ts';
import { idiomCases } from './idiom.bench.ts';
import { idiomGroupCases } from './idiom-group.bench.ts';
import { idiomLogCases } from './idiom-log.bench.ts';
import { idiomUdpCases } from './idiom-udp.bench.ts';
import { packetCases } from './packet.bench.ts';
import { poolCases } from './pool.bench.ts';
import { syncCases } from './sync.bench.ts';
import { tcpCases } from './tcp.bench.ts';
import { tcpFanoutCases } from './tcp-fanout.bench.ts';
import { libraryCases } from './threads/baseline-libraries.bench.ts';
import { portCases } from './threads/baseline-ports.bench.ts';
import { ringCases } from './threads/baseline-ring.bench.ts';
import { busThreadCases } from './threads/bus.bench.ts';
import { packetChannelCases } from './threads/channel-packets.bench.ts';
import { wordCases } from './threads/channel-words.bench.ts';
import { groupCases } from './threads/group.bench.ts';
import { hopCases } from './threads/hop.bench.ts';
import { idRingCases } from './threads/id-ring.bench.ts';
import { lineCases } from './threads/line-transfer.bench.ts';
import { metricsCases } from './threads/metrics.bench.ts';
import { plainRingCases } from './threads/plain-ring.bench.ts';
import { sharedNothingCases } from './threads/shared-nothing.bench.ts';
import { syncThreadCases } from './threads/sync.bench.ts';
import { syncPeerCases } from './threads/sync-peers.bench.ts';
import { rsmCases } from './threads/sync-rsm.ts';
import { udpCases } from './udp.bench.ts';
import { writerCases } from './writer.bench.ts';

export const benchCases: readonly BenchCase[] = [
  ...calibrationCases,
  ...idiomCases,
  ...fanoutFloorCases,
  ...idiomGroupCases,
  ...idiomUdpCases,
  ...idiomLogCases,
  ...poolCases,
  ...packetCases,
  ...framerCases,
  ...writerCases,
  ...copyCases,
  ...syncCases,
  ...syncThreadCases,
  ...syncPeerCases,
  ...rsmCases,
  ...wordCases,
  ...packetChannelCases,
  ...hopCases,
  ...groupCases,
  ...metricsCases,
  ...sharedNothingCases,
  ...busCases,
  ...busThreadCases,
  ...udpCases,
  ...tcpCases,
  ...tcpFanoutCases,
  ...baselineCases,
  ...plainRingCases,
  ...lineCases,
  ...idRingCases,
  ...portCases,
  ...ringCases,
  ...libraryCases,
];

/** The case called `id`. */
export function caseNamed(id: string): BenchCase {
  const found = benchCases.find((candidate) => candidate.id === id);
  if (found === undefined) throw new RangeError(`there is no benchmark case called ${id}`);
  return found;
}
