// SPDX-License-Identifier: MIT
/** Types of browser.mjs, for the tests. */
export class Browser {
  static launch(): Promise<Browser | undefined>;
  open(url: string): Promise<Page>;
  close(): Promise<void>;
}
export class Page {
  private constructor();
  readonly messages: readonly string[];
  resize(width: number, scheme: 'light' | 'dark'): Promise<void>;
  html(): Promise<string>;
  draw(): Promise<Uint8Array>;
  close(): Promise<void>;
}
