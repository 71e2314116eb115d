import { expect } from "chai";
import type { NetworkInterfaceInfo } from "node:os";
import { advertisedHosts, boundHost } from "../src/agent/data-hosts.js";

const at = (address: string, internal = false): NetworkInterfaceInfo =>
  address.includes(":")
    ? { address, internal, family: "IPv6", netmask: "", mac: "", cidr: null, scopeid: 0 }
    : { address, internal, family: "IPv4", netmask: "", mac: "", cidr: null };

const machine = {
  hostname: "host-1",
  interfaces: {
    lo: [at("127.0.0.1", true), at("::1", true)],
    docker0: [at("172.17.0.1")],
    eth0: [at("fe80::1"), at("2001:db8::7"), at("10.0.0.7")],
    eth1: [at("169.254.3.4"), at("192.168.1.7")],
  },
};

describe("addresses of the data port", () => {
  it("names every address that others may reach, the likely ones first and the machine's name last", () => {
    expect(advertisedHosts({ embedded: false }, machine)).to.deep.equal([
      "10.0.0.7",
      "192.168.1.7",
      "2001:db8::7",
      "172.17.0.1",
      "host-1",
    ]);
    expect(boundHost({ embedded: false })).to.equal(undefined);
  });

  it("names only the given address, if it is one", () => {
    expect(advertisedHosts({ dataHost: "10.0.0.9", embedded: false }, machine)).to.deep.equal(["10.0.0.9"]);
    expect(advertisedHosts({ dataHost: "10.0.0.9", embedded: true }, machine)).to.deep.equal(["10.0.0.9"]);
    for (const all of ["0.0.0.0", "::"]) {
      expect(advertisedHosts({ dataHost: all, embedded: false }, machine).at(-1), all).to.equal("host-1");
      expect(boundHost({ dataHost: all, embedded: true })).to.equal(all);
    }
  });

  it("keeps a cluster inside a program on the loopback address", () => {
    expect(advertisedHosts({ embedded: true }, machine)).to.deep.equal(["127.0.0.1"]);
    expect(boundHost({ embedded: true })).to.equal("127.0.0.1");
  });

  it("always names something, and each thing once", () => {
    const alone = { hostname: "127.0.0.1", interfaces: { lo: [at("127.0.0.1", true)] } };
    expect(advertisedHosts({ embedded: false }, alone)).to.deep.equal(["127.0.0.1"]);
    expect(advertisedHosts({ embedded: false })).to.have.length.greaterThan(0);
  });
});
