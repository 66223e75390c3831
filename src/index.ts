// SPDX-License-Identifier: MIT
/** `busbar`: every folder's names in one place; import a subpath to load only what you use. */
/// <reference types="node" preserve="true" />

export * from './bus/index.ts';
export * from './channel/index.ts';
export * from './errors/index.ts';
export * from './executor/index.ts';
export * from './framer/index.ts';
export * from './link/index.ts';
export * from './native/index.ts';
export * from './packet/index.ts';
export * from './pool/index.ts';
export * from './sync/index.ts';
export * from './writer/index.ts';
