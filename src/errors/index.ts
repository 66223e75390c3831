// SPDX-License-Identifier: MIT
/** `busbar/errors`: the one error class, its codes, and how to tell them apart. */
/// <reference types="node" preserve="true" />

export {
  BUSBAR_ERRORS,
  BusbarError,
  type BusbarErrorCode,
  isBusbarError,
} from '../base/errors.ts';
