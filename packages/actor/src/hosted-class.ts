/** What all activations of one class in a process have in common. */
import { InvalidArgumentError, type ActorSpec } from "@stingray/protocol";
import { findDefinition, findLoaded, marked, marks, type Constructor } from "@stingray/task/internal";
import { findMethod, methodInfo, methodNames, otherMethods, type Method } from "./metadata.js";

export interface HostedMethod {
  readonly fn: Method;
  readonly shared: boolean;
  /** Of its name, for the agent: see {@link marks}. */
  readonly mark: number;
}

const known = new WeakMap<Constructor, HostedClass>();

export class HostedClass {
  private readonly methods = new Map<string, HostedMethod>();

  private constructor(readonly constructorOf: Constructor) {}

  /** @throws FunctionNotFoundError; RuntimeEnvError */
  static async load({ module, className, hash }: ActorSpec, root: string): Promise<HostedClass> {
    const key = { module, name: className, hash };
    const { target } = await marked(`loading of ${className}`, () => findDefinition(key, root));
    return HostedClass.of(target as Constructor);
  }

  /** The same where its module is loaded already. @throws FunctionNotFoundError where it was changed since */
  static loaded({ module, className, hash }: ActorSpec, root: string): HostedClass | undefined {
    const found = findLoaded({ module, name: className, hash }, root);
    return found === undefined ? undefined : HostedClass.of(found.target as Constructor);
  }

  private static of(cls: Constructor): HostedClass {
    let hosted = known.get(cls);
    if (hosted === undefined) known.set(cls, (hosted = new HostedClass(cls)));
    return hosted;
  }

  method(name: string): HostedMethod | undefined {
    let method = this.methods.get(name);
    if (method === undefined) {
      const fn = findMethod(this.constructorOf, name);
      if (fn === undefined) return undefined;
      const mark = marks.current.intern(`${this.constructorOf.name}.${name}`);
      this.methods.set(name, (method = { fn, shared: methodInfo(fn).shared ?? false, mark }));
    }
    return method;
  }

  /** Whether one of its methods is declared async. */
  get hasAsyncMethods(): boolean {
    return methodNames(this.constructorOf).some((name) => {
      const fn = findMethod(this.constructorOf, name);
      return Object.prototype.toString.call(fn) === "[object AsyncFunction]";
    });
  }

  /** For a caller that asked for what is no method of it. */
  hasNo(className: string, name: string): InvalidArgumentError {
    const others = otherMethods(name, methodNames(this.constructorOf));
    return new InvalidArgumentError(
      `actor ${className} has no method "${name}" that can be called; ${others}`,
    );
  }
}
