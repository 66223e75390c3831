// SPDX-License-Identifier: MIT
/** Bugs planted in executors, one at a time: the scenarios of the model checker find them. */

import { executorExceptionParts, loadExecutors } from './executor-exceptions.ts';
import { executorParts } from './executor-scenarios.ts';
import { type Bug, bugsIn, huntAll } from './planted.ts';

const bug = bugsIn('executor', 'executor');

const BUGS: readonly Bug[] = [
  bug(
    'it parks without asking to be woken',
    'turn-loop',
    'if (!this.mailbox.arm() && !this.leftUnread) {',
    'if (false) {',
    /^handle, 1/,
  ),
  bug(
    'it parks although something has come while it asked to be woken',
    'turn-loop',
    'if (!this.mailbox.arm() && !this.leftUnread) {',
    'if (!this.mailbox.arm() && false) {',
    /^handle/,
  ),
  {
    ...bug(
      'what was left lying once is left lying for ever',
      'turn-loop',
      '          this.leftUnread = false;\n',
      '',
      /^two lanes$/,
    ),
    preemptions: 2,
  },
  bug(
    'it asks one lane to wake it, not each',
    'lane-mailbox',
    'for (const lane of this.lanes) {\n      if (lane !== undefined && !lane.ended',
    'for (const lane of this.lanes.slice(0, 1)) {\n      if (lane !== undefined && !lane.ended',
    /^two lanes/,
  ),
  bug(
    'a lane with news does not wake it',
    'lane-mailbox',
    'for (const lane of lanes) lane?.setReadyCallback(wake);',
    '',
    /^handle, 1/,
  ),
  bug(
    'it is not rid of the turn that it has had',
    'turn-loop',
    'this.state = RESTING;\n    const { gauges }',
    'const { gauges }',
    /^handle, 1/,
  ),
  bug(
    'a pass that begins further on leaves out the lanes before',
    'lane-mailbox',
    'for (let i = 0; i < first; i++) done += sinks[i]();',
    '',
    /^(to itself|two lanes)/,
  ),
  bug(
    'whoever asks is not served by the loop',
    'lane-mailbox',
    'if (!this.waiters.isEmpty) return this.serveWaiters();',
    '',
    /^receive/,
  ),
  bug(
    'one lane that has ended is the end',
    'lane-mailbox',
    'if (lane !== undefined && !lane.ended) return false;\n    return true;',
    'if (lane !== undefined && lane.ended) return true;\n    return false;',
    /^two lanes that end/,
  ),
  bug(
    'the host closes lanes before it says that it is to stop',
    'gauges',
    'storeRelease(this.words, this.record + STATE, state);',
    'queueMicrotask(() => storeRelease(this.words, this.record + STATE, state));',
    /^whoever/,
  ),
  bug(
    'a loop that is asked for a turn says so before it has one',
    'turn-loop',
    'setImmediate(this.slice);\n    this.state = DUE;',
    'this.state = DUE;\n    setImmediate(this.slice);',
    /^exception: handle, wake/,
  ),
  bug(
    'what is taken out of a lane is lost if the loop cannot be woken',
    'lane-mailbox',
    'ensureStep();\n    for',
    'for',
    /^exception: tryReceive until/,
  ),
  bug(
    'who asks stays in the queue, though the call throws',
    'lane-mailbox',
    "waiter.guard = new WaitGuard(limits, 'receive'",
    "this.waiters.push(waiter);\n      waiter.guard = new WaitGuard(limits, 'receive'",
    /^exception: receive$/,
  ),
  bug(
    'a broadcast that throws has reached some',
    'executor-group',
    'ensureStep();\n    const report',
    'const report',
    /^exception: tryBroadcast/,
  ),
  bug(
    'an inner check of the stack that fails ends a broadcast halfway',
    'executor-group',
    'if (!isClosed && report.sent.length === 0)',
    'if (!isClosed)',
    /^exception: tryBroadcast/,
  ),
  {
    what: 'executor: the seat at a lane is taken, though the call throws',
    entry: 'channel/sender.ts',
    from: 'ensureStack();\n    const seat',
    to: 'const seat',
    scenarios: /^exception: sends/,
  },
  bug('BADGE is one off', 'gauges', 'this.record + BADGE);', 'this.record + BADGE) + 1;', /^death/),
];

huntAll('executor', BUGS, async (load) => {
  const module = await loadExecutors(load);
  return [...executorParts(module), ...executorExceptionParts(module)].flatMap(
    ({ cases }) => cases,
  );
});
