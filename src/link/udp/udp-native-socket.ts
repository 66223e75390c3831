// SPDX-License-Identifier: MIT
/** `UdpNativeSocket`: a UDP or Unix datagram socket of the shim. */

import { resolve } from 'node:path';
import { BusbarError } from '../../base/errors.ts';
import { errnoName, failure } from '../../native/shim.ts';
import {
  ADDRESS_FAMILY,
  ADDRESS_WORDS,
  OPEN_STEPS,
  OPENED_ADDRESS,
  OPENED_ERROR,
  OPENED_STEP,
  OPENED_WORDS,
  READABLE,
  STATE_DROPS,
  STATE_RECEIVE_BYTES,
  STATE_SEND_BYTES,
  STATE_WORDS,
  type UdpCalls,
  type UdpHandle,
  udpSegments,
  WRITABLE,
} from '../../native/udp.ts';
import type { PoolBytes } from '../../pool/pool-layout.ts';
import type { UnixPaths } from './udp-options.ts';
import type { UdpSocket, UdpSocketOwner } from './udp-socket.ts';

/** BUS_UNIX_PATH_BYTES of native/bus_udp.h, without the zero. */
export const PATH_BYTES_MAX = 107;
const NO_GROUP = new Int32Array(ADDRESS_WORDS);

/** A socket of the kernel, watched by Node's event loop. Its calls do not allocate. */
export class UdpNativeSocket implements UdpSocket {
  readonly implementation: 'native' = 'native';
  readonly local: Int32Array;
  readonly segmentsMax: number;
  readonly refusesAtOnce: boolean;
  readonly pendingCount: number = 0;
  private readonly calls: UdpCalls;
  private readonly handle: UdpHandle;
  private readonly bytes: PoolBytes;
  private readonly state: Int32Array = new Int32Array(STATE_WORDS);
  private watched = 0;
  private closed = false;

  /**
   * Opens, binds and connects.
   *
   * **Throws** ERR_BUSBAR_LINK_REFUSED with the step that failed.
   */
  constructor(
    calls: UdpCalls,
    bytes: PoolBytes,
    config: Int32Array,
    owner: UdpSocketOwner,
    paths: UnixPaths | undefined,
  ) {
    const opened = new Int32Array(OPENED_WORDS);
    const onReady = (events: number, errno: number): void => {
      if (errno !== 0) owner.failed(errno);
      if ((events & WRITABLE) !== 0 && !this.closed) owner.writable();
      if ((events & READABLE) !== 0 && !this.closed) owner.readable();
    };
    const handle =
      paths === undefined
        ? calls.udpOpen(config, onReady, opened)
        : calls.unixOpen(config, onReady, opened, checkedPath(paths.path), checkedPath(paths.peer));
    if (handle === undefined) {
      throw refused(OPEN_STEPS[opened[OPENED_STEP]] as string, errnoName(-opened[OPENED_ERROR]));
    }
    this.segmentsMax = paths === undefined ? udpSegments() : 0;
    this.refusesAtOnce = paths !== undefined;
    this.calls = calls;
    this.handle = handle;
    this.bytes = bytes;
    this.local = opened.slice(OPENED_ADDRESS);
  }

  receive(table: Int32Array, count: number): number {
    return this.calls.udpReceive(this.handle, this.bytes, table, count);
  }

  send(
    table: Int32Array,
    count: number,
    addresses: Int32Array,
    segments: number,
    sent: Int32Array,
  ): number {
    const { calls, handle, bytes } = this;
    return calls.udpSend(handle, bytes, table, count, addresses, segments, sent);
  }

  watch(readable: boolean, writable: boolean): void {
    const events = (readable ? READABLE : 0) | (writable ? WRITABLE : 0);
    if (this.closed || events === this.watched) return;
    this.watched = events;
    this.calls.udpWatch(this.handle, events);
  }

  keepAlive(wanted: boolean): void {
    if (!this.closed) this.calls.udpKeepAlive(this.handle, wanted);
  }

  membership(group: Int32Array, networkInterface: Int32Array, join: boolean): void {
    const result = this.calls.udpMulticast(this.handle, group, networkInterface, join);
    if (result < 0) throw failure(join ? 'join' : 'leave', result);
  }

  multicastInterface(networkInterface: Int32Array): void {
    const result = this.calls.udpMulticast(this.handle, NO_GROUP, networkInterface, true);
    if (result < 0) throw failure('multicastInterface', result);
  }

  setOption(option: number, value: number): void {
    const family = this.local[ADDRESS_FAMILY];
    const result = this.calls.udpSetOption(this.handle, family, option, value);
    if (result < 0) throw failure('setOption', result);
  }

  drops(): number {
    return this.ask() ? this.state[STATE_DROPS] : 0;
  }

  bufferBytes(): { readonly receive: number; readonly send: number } {
    if (!this.ask()) return { receive: 0, send: 0 };
    return { receive: this.state[STATE_RECEIVE_BYTES], send: this.state[STATE_SEND_BYTES] };
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.calls.udpClose(this.handle);
  }

  private ask(): boolean {
    return !this.closed && this.calls.udpState(this.handle, this.state) >= 0;
  }
}

/**
 * Checks a path's length. A relative one is made absolute: its file is removed later, perhaps from
 * another working directory.
 */
function checkedPath(path: string): string {
  const whole = path === '' ? '' : resolve(path);
  if (Buffer.byteLength(whole) <= PATH_BYTES_MAX) return whole;
  throw refused(`${whole}: more than ${PATH_BYTES_MAX} bytes`, 'ENAMETOOLONG');
}

function refused(step: string, code: string): BusbarError {
  return new BusbarError('ERR_BUSBAR_LINK_REFUSED', `${step}: ${code}`, { cause: { code } });
}
