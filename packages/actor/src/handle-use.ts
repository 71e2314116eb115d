/** What is done with one handle: its calls that have not ended, and whether it was disposed of. */
import { InvalidArgumentError } from "@stingray/protocol";
import type { ActorCallState } from "./call.js";

export class HandleUse {
  private pending = 0;
  private idle: (() => void)[] | undefined;
  private over = false;

  /** True after `Symbol.asyncDispose`. */
  get disposed(): boolean {
    return this.over;
  }

  /** @throws InvalidArgumentError once it was disposed of */
  check(className: string): void {
    if (this.over)
      throw new InvalidArgumentError(
        `this handle of actor ${className} was disposed of; use another one, or keep it for longer`,
      );
  }

  /** A call was made with it. */
  began(call: ActorCallState): void {
    this.pending++;
    const { onEnd } = call;
    call.onEnd = () => {
      onEnd?.();
      if (--this.pending > 0 || this.idle === undefined) return;
      const { idle } = this;
      this.idle = undefined;
      for (const done of idle) done();
    };
  }

  /** No more calls are taken; resolves when those that were made have ended. */
  async dispose(): Promise<void> {
    this.over = true;
    if (this.pending > 0) await new Promise<void>((done) => (this.idle ??= []).push(done));
  }
}
