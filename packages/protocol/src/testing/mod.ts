/** Waiting in tests; for users it is part of `stingray/testing`. */
export { eventually, rejection } from "./eventually.js";
export type { EventuallyOptions, Truthy } from "./eventually.js";
