/** The old place of what is in `@stingray/protocol/testing` now. */
export { eventually, rejection } from "@stingray/protocol/testing";
