/** How the parts of an agent are got at: each is looked up in the container once, since that takes a while. */
import type { DependencyContainer, InjectionToken } from "tsyringe";
import type { Get } from "./tokens.js";

const getters = new WeakMap<DependencyContainer, Get>();

/** All parts are made once, or put in once, so that what was found stays right. */
export function getterOf(c: DependencyContainer): Get {
  let get = getters.get(c);
  if (get === undefined) {
    const found = new Map<InjectionToken, unknown>();
    get = <T>(token: InjectionToken<T>): T => {
      let part = found.get(token) as T | undefined;
      if (part === undefined) found.set(token, (part = c.resolve(token)));
      return part;
    };
    getters.set(c, get);
  }
  return get;
}
