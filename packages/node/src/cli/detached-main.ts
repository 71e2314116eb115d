/** The background process of `stingray start --detach`. Its plan comes over the channel to the process that started it. */
import { toError } from "@stingray/protocol";
import type { DetachedMessage } from "./detach.js";
import { terminal, type Output } from "./output.js";
import type { StartPlan } from "./start-plan.js";
import { runInForeground } from "./start.js";

/** Into the log file, with the time. */
const log: Output = {
  say: (text) => terminal.say(`${new Date().toISOString()} ${text}`),
  note: (text) => terminal.note(`${new Date().toISOString()} ${text}`),
};

/** Resolves when it is sent. The other side may be gone: then nobody waits for it. */
async function tell(message: DetachedMessage): Promise<void> {
  if (!process.connected) return;
  await new Promise<void>((resolve) => process.send?.(message, () => resolve()));
  if (process.connected) process.disconnect();
}

process.once("message", (plan: StartPlan) => {
  void run(plan);
});

async function run(plan: StartPlan): Promise<void> {
  let up = false;
  let code = 1;
  try {
    code = await runInForeground(plan, log, (text) => {
      up = true;
      log.say(text.replace(/^.*STINGRAY_ADDRESS.*$/m, "  (address left out)"));
      void tell({ up: text });
    });
  } catch (thrown) {
    log.note(toError(thrown).message);
    if (!up) await tell({ failed: toError(thrown).message });
  }
  process.exit(code);
}
