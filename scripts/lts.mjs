// Runs a command of this repository, by default the tests, under another Node version taken from the npm registry.
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { help, must, root, run, script } from "./lib/run.mjs";

/** The long-term-support line that is current. */
const LTS = "24";

help(`
npm run test:lts [-- [--node <version>] [arguments of npm test…]]

Runs the tests under Node ${LTS} (the current LTS), or another version, installed into the cache from the npm registry.
`);

function parse(args) {
  const at = args.indexOf("--node");
  if (at < 0) return { version: LTS, rest: args };
  return { version: args[at + 1] ?? LTS, rest: args.toSpliced(at, 2) };
}

async function install(version) {
  const cache =
    process.env.STINGRAY_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "stingray");
  const dir = join(cache, `node-${version}`);
  const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  const program = join(dir, "node_modules", name, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (!existsSync(program)) {
    process.stdout.write(`installing Node ${version} from the registry …\n`);
    mkdirSync(dir, { recursive: true });
    await must("the installation of Node", "npm", [
      "install",
      "--no-save",
      "--no-audit",
      "--no-fund",
      "--prefix",
      dir,
      `${name}@${version}`,
    ]);
  }
  return program;
}

async function main() {
  const { version, rest } = parse(process.argv.slice(2));
  const node = await install(version);
  return run(node, [join(root, "scripts", "test.mjs"), ...rest], {
    env: { PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
  });
}

await script(main);
