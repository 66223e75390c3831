// SPDX-License-Identifier: MIT
/** Model checker: what an exploration has left out, so that its report can say so. */

/** Why a report without a failure is no proof: named in a report's `leftOut`. */
export type LeftOut =
  | 'preemptions'
  | 'timeouts'
  | 'polls'
  | 'rounds'
  | 'unfair schedules'
  | 'states'
  | 'schedules'
  | 'milliseconds'
  | 'races'
  | 'stale reads'
  | 'weak reads'
  | 'old writes';

export const OMISSIONS: Readonly<Record<LeftOut, string>> = {
  preemptions: 'schedules with more preemptions than the bound',
  timeouts:
    'schedules in which time passes once more while others move, or a clock shows another time',
  polls: 'schedules in which the clock of a thread moves on once more',
  rounds: 'what others do between the middle rounds of a loop that reads nothing new',
  'unfair schedules': 'schedules in which a thread that could go on is passed over for ever longer',
  states: 'states beyond the limit',
  schedules: 'schedules beyond the limit',
  milliseconds: 'what there was no time for',
  races: 'data races: they are not looked for',
  'stale reads':
    'old values that plain reads of words declared racy, and bounds checks of memory that grows, ' +
    "may return: memory: 'es'",
  'weak reads': 'reads of words declared racy that do not return the last write, beyond the bound',
  'old writes': 'writes of words declared racy, of which more could be read than are remembered',
};
