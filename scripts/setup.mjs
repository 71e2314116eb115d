// Everything that a clone needs before it can run: dependencies, build, a nats-server. Idempotent; fast when done.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { help, must, root, run, script, seconds, StepError, tool } from "./lib/run.mjs";

const MIN_NODE = [20, 19];
const LOCK = join(root, "package-lock.json");
const INSTALLED = join(root, "node_modules", ".package-lock.json");

/** @returns {Promise<{ natsServer: { path: string, version: string, from: string } }>} */
export async function setUp({ log = (line) => process.stdout.write(`${line}\n`) } = {}) {
  const started = performance.now();
  checkNode();
  await dependencies(log);
  await build(log);
  const natsServer = await broker(log);
  log(
    `ready in ${seconds(started)}: nats-server ${natsServer.version} (${natsServer.from}) at ${natsServer.path}`,
  );
  return { natsServer };
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  throw new StepError(`Node ${process.versions.node} is too old: ${MIN_NODE.join(".")} or newer is needed`);
}

async function dependencies(log) {
  if (areInstalled()) return;
  if (existsSync(LOCK)) {
    if (await npm(log, "ci")) return;
    // Some registries lack packages that are meant for other platforms, and then `npm ci` takes the lock file for
    // incomplete. `npm install` heeds it as far as it goes; neither it nor package.json is changed.
    log("npm ci: not possible here, see above; trying npm install instead");
  }
  if (await npm(log, "install", "--no-save")) return;
  throw new StepError("the dependencies could not be installed; what npm printed above says why");
}

async function npm(log, command, ...args) {
  const started = performance.now();
  log(`npm ${command}: installing the dependencies …`);
  const program = process.platform === "win32" ? "npm.cmd" : "npm";
  const code = await run(program, [command, ...args, "--no-audit", "--no-fund"]);
  if (code === 0) log(`npm ${command}: done in ${seconds(started)}`);
  return code === 0;
}

/** npm writes down what it installed; a lock file that is newer but asks for the same is no reason to install again. */
function areInstalled() {
  if (!existsSync(INSTALLED)) return false;
  if (!existsSync(LOCK) || statSync(INSTALLED).mtimeMs >= statSync(LOCK).mtimeMs) return true;
  const wanted = JSON.parse(readFileSync(LOCK, "utf8")).packages;
  const installed = JSON.parse(readFileSync(INSTALLED, "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, resolved, optional }]) => {
    if (!path.startsWith("node_modules/")) return true; // a workspace; its link is listed as well
    const there = installed[path];
    if (there === undefined) return optional === true; // for another platform
    return there.version === version && there.resolved === resolved;
  });
}

async function build(log) {
  const started = performance.now();
  log("tsc -b: building …");
  await must("the build", process.execPath, [tool("typescript/bin/tsc"), "-b"]);
  log(`tsc -b: done in ${seconds(started)}`);
}

async function broker(log) {
  const module = join(root, "packages", "broker", "dist", "src", "server", "mod.js");
  const { findNatsServer } = await import(pathToFileURL(module).href);
  try {
    return await findNatsServer({ log, install: true });
  } catch (error) {
    throw new StepError(error.message);
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  help(
    "node scripts/setup.mjs\n\nInstalls dependencies if they are missing or outdated, builds, and finds or installs a nats-server.",
  );
  await script(async () => {
    await setUp();
  });
}
