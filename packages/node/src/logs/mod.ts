/** What workers print: captured by the agent, shown by the driver. */
export { captureOutput } from "./capture.js";
export { NAME_MARKER } from "./lines.js";
export { formatLine, wantsColour } from "./format.js";
export { LogPrinter } from "./printer.js";
export type { CaptureOptions, OutputCapture, StreamNumber } from "./capture.js";
export type { OutputLine, FormatOptions } from "./format.js";
export type { LogPrinterOptions } from "./printer.js";
