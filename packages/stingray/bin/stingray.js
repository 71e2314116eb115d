#!/usr/bin/env node
// The `stingray` command. All of it is in @stingray/node; this file only finds it.
let command;
try {
  command = await import("@stingray/node/cli");
} catch (error) {
  if (error?.code !== "ERR_MODULE_NOT_FOUND") throw error;
  process.stderr.write(`stingray: it is not built yet: run npm run build (${error.message})\n`);
  process.exit(1);
}
const code = await command.runCommand(process.argv.slice(2));
// A start that was given up may still be under way; what it started ends with this process.
process.exit(code);
