// SPDX-License-Identifier: MIT
/** Requests of one thread that wait for their replies, and the tags that both carry. */

import { BusbarError } from '../base/errors.ts';
import { WaitGuard, type WaitLimits } from '../base/wait-guard.ts';
import type { Packet } from '../packet/index.ts';

// TAG of a request or reply: { 1: 1, REPLY: 1, FAILED: 1, number: 29 }; other tags are the user's.
const REQUEST = 2 << 30;
const REPLY = 1 << 30;
const FAILED = 1 << 29;
const NUMBER_MASK = FAILED - 1;

const NONE: ReadonlySet<number> = new Set();

/** True for the tag of a request. */
export function isRequest(tag: number): boolean {
  return tag >>> 30 === 2;
}

/** True for the tag of a reply. */
export function isReply(tag: number): boolean {
  return tag >>> 30 === 3;
}

/** The tag of what goes back: a reply to a request; to any other packet, one with its tag. */
export function replyTag(tag: number): number {
  return isRequest(tag) ? tag | REPLY : tag;
}

/** The tag of the report that the handler of a request has failed; its bytes say why. */
export function failedTag(tag: number): number {
  return tag | REPLY | FAILED;
}

/** A request: open ──▶ settled, by its reply or a failure, which {@link wait} hands on. */
export class OpenRequest {
  /** The executor that is asked. */
  readonly to: number;
  readonly tag: number;
  /** Must not be garbage-collected while the request is open. */
  readonly asker: object;
  /** The packet is in the lane, or was taken out. */
  isSent = false;
  readonly #requests: Requests;
  #guard: WaitGuard | undefined;
  /** The outcome, if it came before {@link wait}. */
  #early: (() => Promise<Packet>) | undefined;
  #resolve: ((reply: Packet) => void) | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  constructor(requests: Requests, to: number, tag: number, asker: object) {
    this.#requests = requests;
    this.to = to;
    this.tag = tag;
    this.asker = asker;
  }

  /** The reply, which may have come already. Called once. */
  wait(limits: WaitLimits): Promise<Packet> {
    if (this.#early !== undefined) return this.#early();
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (limits.signal === undefined && limits.timeoutMs === Infinity) return;
      this.#guard = new WaitGuard(limits, `request to executor ${this.to}`, (reason) => {
        this.#requests.forget(this);
        reject(reason);
      });
    });
  }

  /** **Ownership** the reply is the waiting caller's. */
  resolve(reply: Packet): void {
    this.#guard?.end();
    if (this.#resolve === undefined) this.#early = () => Promise.resolve(reply);
    else this.#resolve(reply);
  }

  reject(reason: unknown): void {
    this.#guard?.end();
    if (this.#reject === undefined) this.#early = () => Promise.reject(reason);
    else this.#reject(reason);
  }
}

/**
 * The open requests of a thread, by number. A number is used again after 2²⁹ requests.
 *
 * A request ends once: by its reply; by a timeout or an abort; by the crash of the executor that
 * had taken it; by the end of the group. A reply that comes later is released.
 */
export class Requests {
  /** The thread has made a request. */
  isUsed = false;
  readonly #open = new Map<number, OpenRequest>();
  #last = 0;

  get size(): number {
    return this.#open.size;
  }

  begin(to: number, asker: object): OpenRequest {
    this.isUsed = true;
    do this.#last = (this.#last + 1) & NUMBER_MASK;
    while (this.#open.has(this.#last));
    const request = new OpenRequest(this, to, REQUEST | this.#last, asker);
    this.#open.set(this.#last, request);
    return request;
  }

  forget({ tag }: OpenRequest): void {
    this.#open.delete(tag & NUMBER_MASK);
  }

  /** **Ownership** takes the packet over. */
  settle(reply: Packet, tag: number, from: number): void {
    const request = this.#open.get(tag & NUMBER_MASK);
    if (request === undefined || request.to !== from) {
      reply.release();
      return;
    }
    this.forget(request);
    if ((tag & FAILED) === 0) {
      request.resolve(reply);
      return;
    }
    const detail = `executor ${from}, ${reply.length > 0 ? reply : 'it has failed'}`;
    reply.release();
    request.reject(new BusbarError('ERR_BUSBAR_REQUEST_FAILED', detail));
  }

  /**
   * An executor has crashed: ends the requests that it had taken. `inLanes`: the tags of requests
   * that it has not taken, which its successor will, and of its replies that are under way.
   */
  crashed(to: number, inLanes: ReadonlySet<number>, reason: unknown): void {
    for (const request of this.#open.values()) {
      if (request.to !== to || !request.isSent || inLanes.has(request.tag)) continue;
      if (inLanes.has(replyTag(request.tag)) || inLanes.has(failedTag(request.tag))) continue;
      this.forget(request);
      request.reject(reason);
    }
  }

  /** No reply can come any more but those `inLanes`, by their tags: ends the other requests. */
  endUnless(inLanes: ReadonlySet<number>): void {
    for (const request of this.#open.values()) {
      if (inLanes.has(replyTag(request.tag)) || inLanes.has(failedTag(request.tag))) continue;
      this.forget(request);
      request.reject(new BusbarError('ERR_BUSBAR_EXECUTOR_STOPPED', 'before it had replied'));
    }
  }

  /** Ends all: no reply can come any more. */
  close(): void {
    this.endUnless(NONE);
  }
}
