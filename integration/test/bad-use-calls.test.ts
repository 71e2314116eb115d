/** Wrong calls inside a program: each is refused where it is made, with the nearest right way, and all goes on. */
import { expect } from "chai";
import {
  ActorNotFoundError,
  ErrorCode,
  InvalidArgumentError,
  InvalidOptionError,
  NameTakenError,
  NotInitializedError,
  SerializationError,
  actor,
  asCompleted,
  availableResources,
  cancel,
  clusterResources,
  context,
  get,
  getActor,
  init,
  isInitialized,
  kill,
  listNamedActors,
  method,
  nodes,
  put,
  ready,
  remote,
  shutdown,
  wait,
  type ObjectRef,
} from "stingray";
import { testCluster, type TestCluster } from "stingray/testing";
import { RemoteTalker, count, echo, square, unsendable, yieldsUnsendable } from "./fixtures/bad-use-tasks.js";
import { refused, refusedNow } from "./support/bad-use.js";

/** What TypeScript would refuse, as plain JavaScript programs do it. */
const wrong = (value: unknown): never => value as never;

describe("without a cluster", function () {
  this.timeout(20_000);
  /** All that needs a cluster, as promises. */
  const calls = (ref: ObjectRef<number>): Record<string, () => unknown> => ({
    "square.remote()": () => square.remote(2),
    "Talker.remote()": () => RemoteTalker.remote(),
    "get()": () => get(ref),
    "put()": () => put(1),
    "wait()": () => wait([ref]),
    "cancel()": () => cancel(ref),
    "getActor()": () => getActor("nobody"),
    "listNamedActors()": () => listNamedActors(),
    "nodes()": () => nodes(),
    "clusterResources()": () => clusterResources(),
    "availableResources()": () => availableResources(),
  });
  const THROWN = new Set(["square.remote()", "Talker.remote()"]);
  async function refusesAll(ref: ObjectRef<number>): Promise<void> {
    expect(isInitialized()).to.equal(false);
    for (const [name, call] of Object.entries(calls(ref))) {
      const texts = [/needs a cluster: call `await init\(\)` first/];
      if (THROWN.has(name)) refusedNow(call, NotInitializedError, [name, ...texts]);
      else await refused(call() as Promise<unknown>, NotInitializedError, texts, 100);
    }
    refusedNow(() => context(), NotInitializedError, ["context()"]);
  }

  it("every call says to call init() first, before it and after shutdown()", async () => {
    await refusesAll(wrong({}));
    const test = await testCluster();
    const ref = square.remote(3);
    const talker = RemoteTalker.remote();
    expect(await get(ref)).to.equal(9);
    await ready(talker);
    await test.end();
    await refusesAll(ref);
    refusedNow(() => talker.say.remote("x"), NotInitializedError, ["init()"]);
    await refused(ready(talker), NotInitializedError, ["init()"], 100);
    await refused(kill(talker), NotInitializedError, ["init()"], 100);
    await shutdown();
  });

  it("references and handles of the cluster before do not work in the next one, and say so", async () => {
    const first = await testCluster();
    const old = square.remote(3);
    const talker = RemoteTalker.remote();
    await ready(talker);
    expect(await get(old)).to.equal(9);
    await first.end();
    const second = await testCluster();
    expect(await get(square.remote(4))).to.equal(16);
    const texts = [old.id, "is of the cluster that shutdown() ended"];
    await refused(get(old), InvalidArgumentError, texts, 500);
    await refused(wait([old]), InvalidArgumentError, texts, 500);
    refusedNow(() => square.remote(old), InvalidArgumentError, ["args[0]", ...texts]);
    refusedNow(() => echo.remote([old]), SerializationError, ["args[0][0]", ...texts]);
    refusedNow(() => talker.look.remote(), InvalidArgumentError, ["Talker", "from before shutdown()"]);
    refusedNow(() => echo.remote([talker]), SerializationError, ["args[0][0]", "shutdown()"]);
    await refused(kill(talker), InvalidArgumentError, ["from before shutdown()"], 500);
    old.release();
    await second.end();
  });

  it("init() names the option that is wrong, and the nearest one", async () => {
    const cases: [unknown, RegExp][] = [
      [{ adress: "nats://127.0.0.1:1" }, /init\(\): unknown option "adress"; did you mean "address"\?/],
      [{ cpu: 2 }, /unknown option "cpu"; did you mean "cpus"\?/],
      [{ numberOfThings: 2 }, /unknown option "numberOfThings"; the options are cpus, gpus, memory/],
      [{ cpus: "2" }, /option "cpus" must be a number from 0, got "2"/],
      [{ cpus: Number.NaN }, /option "cpus" must be a number from 0, got NaN/],
      [{ gpus: 0.5 }, /option "gpus" must be a whole number from 0, got 0\.5/],
      [{ address: "" }, /option "address" must be a text or a list of texts/],
      [{ address: [] }, /option "address" must be a text or a list of texts/],
      [{ auth: { password: "x" } }, /option "auth" must be \{ token \}, \{ user, password \}/],
      [{ auth: null }, /option "auth" must be \{ token \}, \{ user, password \}/],
      [{ nodes: 0 }, /option "nodes" must be a whole number from 1/],
      [{ nodes: [{ cpu: 1 }] }, /option "nodes" must be an object without "cpu"; did you mean "cpus"\?/],
      [{ runtimeEnv: { env: {} } }, /option "runtimeEnv" must be an object without "env"/],
      [
        { runtimeEnv: { envVars: { A: 1 } } },
        /runtimeEnv" must be an object whose envVars is a map from text to text/,
      ],
      [{ logToDriver: "yes" }, /option "logToDriver" must be true or false, got "yes"/],
      [{ cluster: "a b" }, /cluster: "a b" must be 1 to 64 letters, digits/],
      [{ subjectRoot: "st.>" }, /subjectRoot: "st\.>" must be tokens of letters/],
      [{ links: "tcp" }, /option "links" must be "auto" or "nats", got "tcp"/],
      [{ objectStoreMemory: 1.5 }, /option "objectStoreMemory" must be a whole number from 0/],
      [
        { connection: "nats://127.0.0.1" },
        /option "connection" must be a connection of @nats-io\/transport-node/,
      ],
      [[], /init\(\): options must be an object, got an array of 0/],
      [null, /init\(\): options must be an object, got null/],
      ["nats://127.0.0.1", /init\(\): options must be an object, got "nats:/],
    ];
    for (const [options, text] of cases) await refused(init(wrong(options)), InvalidOptionError, [text], 500);
    expect(isInitialized()).to.equal(false);
  });

  it("remote(), @actor and @method refuse what is no function, and options that they do not know", () => {
    const f = (): number => 1;
    class C {}
    /** As a compiler of standard decorators does it. */
    const decorate = (decorator: unknown, target: unknown, name = ""): unknown =>
      (decorator as (target: unknown, context: unknown) => unknown)(target, { kind: "method", name });
    const cases: [() => unknown, typeof InvalidArgumentError, RegExp][] = [
      [() => remote(wrong(1)), InvalidArgumentError, /remote\(\) takes a function or a class.*got/],
      [
        () => remote(wrong({})),
        InvalidArgumentError,
        /remote\(\) takes a function or a class.*got an object/,
      ],
      [
        () => remote(wrong({}), wrong("f")),
        InvalidArgumentError,
        /remote\(\) takes a function or a class.*got "f"/,
      ],
      [
        () => remote(wrong({ cpu: 1 }), f),
        InvalidOptionError,
        /remote\(f\): unknown option "cpu"; did you mean "cpus"\?/,
      ],
      [
        () => remote(wrong({ maxRetry: 1 }), f),
        InvalidOptionError,
        /unknown option "maxRetry"; did you mean "maxRetries"\?/,
      ],
      [
        () => remote({ gpus: 1.5 }, f),
        InvalidOptionError,
        /"gpus" must be a fraction below 1 or a whole number, got 1\.5/,
      ],
      [() => remote({ cpus: -1 }, f), InvalidOptionError, /"cpus" must be a number from 0, got -1/],
      [
        () => remote({ maxRetries: 1.5 }, f),
        InvalidOptionError,
        /"maxRetries" must be a whole number from 0, or Infinity/,
      ],
      [
        () => remote({ timeoutMs: 0 }, f),
        InvalidOptionError,
        /"timeoutMs" must be milliseconds, more than 0, got 0/,
      ],
      [
        () => remote({ returns: -1 }, f),
        InvalidOptionError,
        /"returns" must be a whole number from 0, got -1/,
      ],
      [
        () => remote(wrong({ retryOn: "always" }), f),
        InvalidOptionError,
        /"retryOn" must be true, false, a list of error classes/,
      ],
      [
        () => remote(wrong({ scheduling: "everywhere" }), f),
        InvalidOptionError,
        /"scheduling" must be "default", "spread", /,
      ],
      [
        () => remote(wrong({ resources: { disk: "big" } }), f),
        InvalidOptionError,
        /"resources" must be a map from resource to amount/,
      ],
      [
        () => remote(wrong({ runtimeEnv: { workDir: "/" } }), f),
        InvalidOptionError,
        /without "workDir"; did you mean "workingDir"\?/,
      ],
      [
        () => remote(wrong({ maxRestart: 1 }), C),
        InvalidOptionError,
        /remote\(C\): unknown option "maxRestart"; did you mean "maxRestarts"\?/,
      ],
      [
        () => remote(wrong({ maxConcurrency: "2" }), C),
        InvalidOptionError,
        /"maxConcurrency" must be a whole number from 1, got "2"/,
      ],
      [
        () => remote(wrong({ lifetime: "forever" }), C),
        InvalidOptionError,
        /"lifetime" must be "job" or "detached", got "forever"/,
      ],
      [
        () => decorate(actor(wrong({ gpu: 1 })), C),
        InvalidOptionError,
        /@actor C: unknown option "gpu"; did you mean "gpus"\?/,
      ],
      [
        () => decorate(method(wrong({ share: true })), f, "f"),
        InvalidOptionError,
        /@method f: unknown option "share"; did you mean "shared"\?/,
      ],
      [
        () => decorate(method(wrong({ returns: 0.5 })), f, "f"),
        InvalidOptionError,
        /"returns" must be a whole number from 0/,
      ],
    ];
    for (const [call, cls, text] of cases) refusedNow(call, cls, [text]);
  });
});

describe("wrong calls in a cluster", function () {
  this.timeout(20_000);
  let test: TestCluster;
  before(async () => {
    test = await testCluster();
  });
  afterEach("all works as before", async () => {
    expect(await get(square.remote(5))).to.equal(25);
  });
  after(() => test.end());

  it(".options() names the option that is wrong, and the nearest one", () => {
    const cases: [() => unknown, RegExp][] = [
      [
        () => square.options(wrong({ gpu: 1 })),
        /square\.options\(\): unknown option "gpu"; did you mean "gpus"\?/,
      ],
      [() => square.options({ cpus: Infinity }), /"cpus" must be a number from 0, got Infinity/],
      [() => square.options({ name: "other" }), /name can only be given to remote\(\)/],
      [() => square.options({ maxCalls: 2 }), /maxCalls can only be given to remote\(\)/],
      [() => square.options(wrong(null)), /options must be an object, got null/],
      [
        () => RemoteTalker.options(wrong({ nam: "x" })),
        /Talker.*unknown option "nam"; did you mean "name"\?/,
      ],
      [() => RemoteTalker.options({ getIfExists: true }).remote(), /name/],
    ];
    for (const [call, text] of cases) refusedNow(call, InvalidOptionError, [text]);
    const talker = RemoteTalker.remote();
    refusedNow(() => talker.look.options(wrong({ timeout: 5 })), InvalidOptionError, [
      /look.*unknown option "timeout"; did you mean "timeoutMs"\?/,
    ]);
    refusedNow(() => talker.look.options(wrong({ signal: true })), InvalidOptionError, [
      /an AbortSignal, got true/,
    ]);
  });

  it("get, wait, put, cancel and asCompleted name the option that is wrong", async () => {
    const ref = square.remote(1);
    const cases: [() => Promise<unknown>, RegExp][] = [
      [
        () => get(ref, wrong({ timeout: 5 })),
        /get\(\): unknown option "timeout"; did you mean "timeoutMs"\?/,
      ],
      [() => get(ref, { timeoutMs: -1 }), /get\(\): option "timeoutMs" must be milliseconds, .*got -1/],
      [() => get(ref, wrong({ signal: {} })), /option "signal" must be an AbortSignal, got an object/],
      [() => get(ref, wrong(100)), /get\(\): options must be an object, got 100/],
      [() => wait([ref], wrong({ numReturns: 1 })), /wait\(\): unknown option "numReturns"; the options are/],
      [() => wait([ref], wrong({ count: "1" })), /wait\(\): option "count" must be a number, got "1"/],
      [() => wait([ref], wrong(null)), /wait\(\): options must be an object, got null/],
      [() => put(1, wrong({ copy: 2 })), /put\(\): unknown option "copy"; did you mean "copies"\?/],
      [() => put(1, { copies: 0 }), /put\(\): option "copies" must be a whole number from 1, got 0/],
      [
        () => cancel(ref, wrong({ forced: true })),
        /cancel\(\): unknown option "forced"; did you mean "force"\?/,
      ],
    ];
    for (const [call, text] of cases) await refused(call(), InvalidOptionError, [text], 500);
  });

  it("what is no reference is named, with what to do about it", async () => {
    const stream = count.remote(1);
    const talker = RemoteTalker.remote();
    const cases: [() => Promise<unknown>, RegExp][] = [
      [() => get(wrong(undefined)), /get\(\) takes an ObjectRef or an array of them, got undefined/],
      [() => get(wrong("t1.0")), /get\(\) takes an ObjectRef.*got "t1\.0"/],
      [() => get(wrong(put(1))), /get\(\) takes an ObjectRef.*got a Promise.*await/],
      [() => get(wrong(stream)), /for await/],
      [() => get(wrong(talker)), /got an ActorHandle/],
      [
        () => get(wrong([square.remote(1), put(1)])),
        /get\(\)\[1\]: expected an ObjectRef, got a Promise.*await/,
      ],
      [() => get(wrong([undefined])), /get\(\)\[0\]: expected an ObjectRef, got undefined/],
      [() => get(wrong([stream])), /get\(\)\[0\]: expected an ObjectRef.*for await/],
      [() => get(wrong(square)), /get\(\) takes an ObjectRef.*got a RemoteFunction/],
      [() => wait(wrong(square.remote(1))), /wait\(\) takes an array of ObjectRefs, got a/],
      [() => wait(wrong([put(1)])), /wait\(\)\[0\]: expected an ObjectRef, got a Promise.*await/],
      [
        () => wait([square.remote(1)], { count: 2 }),
        /wait\(\): count must be from 1 to the number of references \(1\), got 2/,
      ],
      [() => asCompleted(wrong(["x"])).next(), /expected an ObjectRef, got "x"/],
      [() => cancel(wrong("x")), /cancel\(\): expected an ObjectRef, got "x"/],
      [async () => put(square.remote(1)), /put\(\) was given a reference; it is one already/],
      [() => ready(wrong({})), /ready\(\).*handle/],
      [() => kill(wrong(square)), /kill\(\).*handle/],
    ];
    for (const [call, text] of cases) await refused(call(), InvalidArgumentError, [text], 500);
    const ref = square.remote(1);
    await refused(wait([ref, ref]), InvalidArgumentError, ["repeated"], 500);
  });

  it("a released reference is named", async () => {
    const ref = square.remote(2);
    const { id } = ref;
    ref.release();
    ref.release();
    const texts = [id, "was released"];
    await refused(get(ref), InvalidArgumentError, ["get()", ...texts], 500);
    await refused(get([square.remote(1), ref]), InvalidArgumentError, ["get()[1]", ...texts], 500);
    await refused(wait([ref]), InvalidArgumentError, ["wait()[0]", ...texts], 500);
    await refused(cancel(ref), InvalidArgumentError, ["cancel()", ...texts], 500);
    refusedNow(() => square.remote(ref), InvalidArgumentError, ["args[0]", ...texts]);
    refusedNow(() => echo.remote({ list: [ref] }), SerializationError, ["args[0].list[0]", ...texts]);
  });

  it("an argument that can't be sent is named by its path, at once", () => {
    class Model {
      onChange = 1;
    }
    const cyclic: Record<string, unknown> = {};
    cyclic["self"] = { fn: () => cyclic };
    const cases: [() => unknown, string | RegExp][] = [
      [
        () => echo.remote({ model: { onChange: () => 1 } }),
        "args[0].model.onChange: functions can't be sent",
      ],
      [() => square.remote(wrong([1, Symbol("x")])), /^args\[0\]\[1\]: symbols can't be sent/],
      [() => echo.remote([{ model: new Model() }]), /^args\[0\]\[0\]\.model: .*Model.*registerSerializer/],
      [() => echo.remote(Promise.resolve(1)), /^args\[0\]: .*[Pp]romise.*await/],
      [() => echo.remote(new WeakMap()), /^args\[0\]: .*WeakMap/],
      [() => echo.remote(new Map([["k", () => 1]])), /^args\[0\].*k.*functions can't be sent/],
      [() => echo.remote(cyclic), "args[0].self.fn: functions can't be sent"],
      [() => echo.remote({ "a b": [count.remote(1)] }), /^args\[0\]\["a b"\]\[0\]: .*stream/i],
      [() => echo.remote(square), /^args\[0\]: .*remote function/i],
    ];
    for (const [call, text] of cases) {
      const error = refusedNow(call, SerializationError, [text]);
      expect(error.code).to.equal(ErrorCode.SerializationError);
      expect(error.detail["path"]).to.be.a("string");
    }
    const talker = RemoteTalker.remote();
    refusedNow(() => talker.say.remote(wrong({ f: () => 1 })), SerializationError, [
      "args[0].f: functions can't be sent",
    ]);
    refusedNow(
      () => (RemoteTalker as unknown as { remote(x: unknown): unknown }).remote(() => 1),
      SerializationError,
      ["args[0]: functions can't be sent"],
    );
  });

  it("a value that put() can't send is named by its path", async () => {
    await refused(put({ a: [() => 1] }), SerializationError, ["value.a[0]: functions can't be sent"], 500);
  });

  it("a result that can't be sent is named by its path, through the reference", async () => {
    const cases: [string, RegExp][] = [
      ["function", /^result\.model\.onChange: functions can't be sent/],
      ["class", /^result\[1\]: .*Plain/],
      ["promise", /^result\.later\[0\]: .*[Pp]romise/],
      ["symbol", /^result.*key.*symbols can't be sent/],
    ];
    for (const [kind, text] of cases) await refused(get(unsendable.remote(kind)), SerializationError, [text]);
    const talker = RemoteTalker.remote();
    await refused(get(talker.unsendable.remote()), SerializationError, [
      /^result\.later: functions can't be sent/,
    ]);
    expect(await get(talker.look.remote())).to.equal(1);
    const stream = yieldsUnsendable.remote();
    expect(await get((await stream.next()) as ObjectRef)).to.deep.equal({ fine: true });
    await refused(get((await stream.next()) as ObjectRef), SerializationError, [
      /^result\[1\]\.fine: functions can't be sent/,
    ]);
    expect(await stream.next()).to.equal(undefined);
  });

  it("private and unknown methods of an actor are refused at once, with the nearest name", () => {
    const talker = RemoteTalker.remote() as unknown as Record<string, { remote(): unknown }>;
    for (const name of [
      "#hidden",
      "#secret",
      "field",
      "constructor",
      "toString",
      "__proto__",
      "hasOwnProperty",
    ])
      refusedNow(() => talker[name]?.remote(), InvalidArgumentError, [`no method "${name}"`, "Talker"]);
    refusedNow(() => talker["sai"]?.remote(), InvalidArgumentError, [/no method "sai".*"say"/]);
    refusedNow(() => talker["xyzzyxyzzy"]?.remote(), InvalidArgumentError, [/say, look, exit/]);
  });

  it("names of actors: taken, not found, ill-typed", async () => {
    const one = RemoteTalker.options({ name: "the one" }).remote();
    await ready(one);
    const two = RemoteTalker.options({ name: "the one" }).remote();
    const texts = [/the one/, /getIfExists|another name/];
    await refused(ready(two), NameTakenError, texts);
    await refused(get(two.look.remote()), NameTakenError, texts);
    expect(await get(one.look.remote())).to.equal(1);
    await refused(getActor("the two"), ActorNotFoundError, [/"the two"/, /namespace/]);
    await refused(getActor("the one", { namespace: "elsewhere" }), ActorNotFoundError, [/elsewhere/]);
    await refused(getActor(wrong(undefined)), InvalidArgumentError, [/getActor\(\)/], 500);
    await refused(getActor(""), InvalidArgumentError, [/getActor\(\)/], 500);
    await refused(
      getActor("x", wrong({ nameSpace: "y" })),
      InvalidOptionError,
      [/did you mean "namespace"\?/],
      500,
    );
  });
});
