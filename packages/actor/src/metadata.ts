/** `@actor` and `@method`: options of classes and methods, kept on the class and function themselves. */
import {
  ACTOR_RULES,
  InvalidArgumentError,
  METHOD_RULES,
  checkOptions,
  describe,
  nearestOf,
  type ActorOptions,
  type MethodOptions,
} from "@stingray/protocol";
import { callerModule } from "@stingray/task";
import { define, type Constructor, type RemoteDefinition } from "@stingray/task/internal";

const CLASS = Symbol.for("stingray.actor.class");
const METHOD = Symbol.for("stingray.actor.method");

/** What is known of an actor class. */
export interface ActorClassInfo {
  readonly definition: RemoteDefinition;
  readonly options: ActorOptions;
}

/** Any class, whatever its constructor takes. */
export type AnyClass<A extends unknown[] = never[], T extends object = object> = new (...args: A) => T;

function remember(cls: object, info: ActorClassInfo): void {
  Object.defineProperty(cls, CLASS, { value: info, configurable: true, writable: true });
}

/** The class's own registration, if it has one. A subclass does not inherit its parent's. */
export function classInfo(cls: object): ActorClassInfo | undefined {
  return Object.hasOwn(cls, CLASS) ? (cls as { [CLASS]?: ActorClassInfo })[CLASS] : undefined;
}

/** Registers a class, once; later calls return what the first made. */
export function registerClass(
  cls: AnyClass,
  module: string,
  options: ActorOptions,
  name?: string,
): ActorClassInfo {
  const known = classInfo(cls);
  if (known !== undefined) return known;
  const info: ActorClassInfo = { definition: define("class", cls, module, name), options };
  remember(cls, info);
  return info;
}

/**
 * Makes an actor class: `@actor({ gpus: 1 }) class Trainer { … }`. Works as a standard and as a legacy decorator.
 *
 * @throws InvalidOptionError
 */
export function actor(options: ActorOptions = {}): <C extends AnyClass>(cls: C, context?: unknown) => void {
  if (typeof options === "function")
    throw new InvalidArgumentError("@actor needs its parentheses: write `@actor() class …`");
  const module = callerModule(actor);
  return (cls) => {
    if (typeof cls !== "function")
      throw new InvalidArgumentError(`@actor decorates classes, got ${describe(cls)}`);
    checkOptions(`@actor ${cls.name}`, ACTOR_RULES, options);
    registerClass(cls, module, options);
  };
}

/** The type of `@method(...)`, both as a standard and as a legacy decorator. */
export interface MethodDecorator {
  (target: (...args: never[]) => unknown, context: ClassMethodDecoratorContext): void;
  (target: object, name: string | symbol, descriptor: PropertyDescriptor): void;
}

/**
 * Options of one method of an actor class, for all its calls.
 *
 * @throws InvalidOptionError
 */
export function method(options: MethodOptions): MethodDecorator {
  return (target: unknown, nameOrContext: unknown, descriptor?: PropertyDescriptor): void => {
    const fn: unknown = descriptor === undefined ? target : descriptor.value;
    const name =
      descriptor === undefined
        ? (nameOrContext as ClassMethodDecoratorContext).name
        : (nameOrContext as string | symbol);
    checkOptions(`@method ${String(name)}`, METHOD_RULES, options);
    if (typeof fn !== "function")
      throw new InvalidArgumentError(`@method decorates methods; ${String(name)} is none`);
    Object.defineProperty(fn, METHOD, { value: options, configurable: true });
  };
}

function isGenerator(fn: unknown): boolean {
  const kind = Object.prototype.toString.call(fn);
  return kind === "[object GeneratorFunction]" || kind === "[object AsyncGeneratorFunction]";
}

export type Method = (...args: unknown[]) => unknown;

/** The method of that name, looked up along the prototypes of the class but not on Object; undefined if there is none. */
export function findMethod(cls: Constructor, name: string): Method | undefined {
  if (name === "constructor") return undefined;
  for (
    let proto: object | null = cls.prototype as object;
    proto !== null && proto !== Object.prototype;
    proto = Object.getPrototypeOf(proto) as object | null
  ) {
    const value: unknown = Object.getOwnPropertyDescriptor(proto, name)?.value;
    if (typeof value === "function") return value as Method;
  }
  return undefined;
}

export interface MethodInfo extends MethodOptions {
  /** -1 for a stream. */
  readonly results: number;
}

export function methodInfo(fn: Method): MethodInfo {
  const options = (fn as { [METHOD]?: MethodOptions })[METHOD] ?? {};
  return { ...options, results: options.returns ?? (isGenerator(fn) ? -1 : 1) };
}

/** For messages: which methods there are instead of the one that was asked for. */
export function otherMethods(name: string, names: readonly string[]): string {
  if (names.length === 0) return "it has none";
  const nearest = nearestOf(name, names);
  return `${nearest === undefined ? "" : `did you mean "${nearest}"? `}it has ${names.join(", ")}`;
}

/** All callable methods of a class, a subclass's own first. */
export function methodNames(cls: Constructor): string[] {
  const names = new Set<string>();
  for (
    let proto: object | null = cls.prototype as object;
    proto !== null && proto !== Object.prototype;
    proto = Object.getPrototypeOf(proto) as object | null
  ) {
    for (const name of Object.getOwnPropertyNames(proto))
      if (findMethod(cls, name) !== undefined) names.add(name);
  }
  return [...names];
}
