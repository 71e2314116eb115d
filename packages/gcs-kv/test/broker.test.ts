import { Subjects } from "@stingray/protocol";
import { ControlStore, type Tables } from "../src/mod.js";
import { conformance } from "./conformance.js";
import { TestBroker } from "./server.js";

for (const storage of ["memory", "file"] as const) {
  describe(`control store on a broker, storage ${storage}`, function () {
    this.timeout(10_000);
    let broker: TestBroker;
    before(async () => {
      broker = await TestBroker.start();
    });
    after(() => broker.stop());

    let clusters = 0;
    const names = new Map<Tables, string>();
    const open = async (cluster: string): Promise<Tables> => {
      const subjects = new Subjects("st", cluster);
      const store = await ControlStore.open({ connection: await broker.connect(), subjects, storage });
      names.set(store, cluster);
      return store;
    };
    conformance({
      open: () => open(`c${++clusters}`),
      join: (store) => open(names.get(store) ?? ""),
    });
  });
}
