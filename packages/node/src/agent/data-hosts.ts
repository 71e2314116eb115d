/** The addresses under which a node tells others to look for its data port. */
import { hostname, networkInterfaces, type NetworkInterfaceInfo } from "node:os";

export interface DataHostOptions {
  /** As given: what the port is bound to. An address that stands for all (`0.0.0.0`, `::`) is as if none were given. */
  dataHost?: string | undefined;
  /** The cluster is inside a program: nothing outside of this machine is part of it. */
  embedded: boolean;
}

/** What a machine has. */
export interface MachineNames {
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>;
  hostname: string;
}

export const LOOPBACK = "127.0.0.1";
const ALL = new Set(["0.0.0.0", "::", "*", ""]);
/** More than this nobody tries in turn. */
const MAX_HOSTS = 16;
/** Networks of containers and virtual machines: the same address is somebody else's on another machine. */
const VIRTUAL = /^(docker|br-|veth|virbr|cni|flannel|cali|podman|lxc|lxd)/;

/**
 * To be tried in this order: the given address; in an embedded cluster the loopback address; else every address of the
 * machine that others may reach (IPv4 before IPv6, those of virtual networks after the others), and its name last.
 */
export function advertisedHosts(
  { dataHost, embedded }: DataHostOptions,
  machine: MachineNames = { interfaces: networkInterfaces(), hostname: hostname() },
): string[] {
  if (dataHost !== undefined && !ALL.has(dataHost)) return [dataHost];
  if (embedded) return [LOOPBACK];
  const found = Object.entries(machine.interfaces)
    .flatMap(([name, infos = []]) => infos.map((info) => ({ name, info })))
    .filter(({ info }) => !info.internal && !isLinkLocal(info.address))
    .map(({ name, info }) => ({
      address: info.address,
      rank: (VIRTUAL.test(name) ? 2 : 0) + (info.family === "IPv4" ? 0 : 1),
    }));
  const addresses = found.toSorted((a, b) => a.rank - b.rank).map(({ address }) => address);
  // Without a network the nodes of one machine can still reach each other.
  const reachable = addresses.length === 0 ? [LOOPBACK] : addresses.slice(0, MAX_HOSTS);
  return [...new Set([...reachable, machine.hostname])].filter((host) => host !== "");
}

/** What the port is bound to; undefined: all addresses. */
export function boundHost({ dataHost, embedded }: DataHostOptions): string | undefined {
  if (dataHost === undefined || dataHost === "") return embedded ? LOOPBACK : undefined;
  return dataHost === "*" ? undefined : dataHost;
}

/** They mean nothing without the name of an interface, which differs from machine to machine. */
function isLinkLocal(address: string): boolean {
  return address.startsWith("169.254.") || /^fe[89ab]/i.test(address);
}
