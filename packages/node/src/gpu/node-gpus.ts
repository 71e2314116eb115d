/** The GPUs that a node offers: how many, what they are called, and what its processes are told of theirs. */
import { InvalidOptionError } from "@stingray/protocol";
import type { GpuDevice } from "./device.js";
import { commonType } from "./type.js";
import { visibleDevices } from "./visible.js";

/** What is on a machine, as far as could be found out. */
export interface FoundGpus {
  /** Undefined: nobody could be asked. */
  readonly devices: readonly GpuDevice[] | undefined;
  /** What people should know. */
  readonly notes: readonly string[];
}

export interface OfferedGpus {
  /** What the user declared; it wins over what was found. */
  readonly declared?: number | undefined;
  /** CUDA_VISIBLE_DEVICES of the agent. */
  readonly visible?: string | undefined;
  /** Where several nodes of one program share the GPUs of the machine. */
  readonly share?: GpuShare | undefined;
}

export interface GpuShare {
  /** Of those that declare nothing: which of them it is, from 0, and how many there are. */
  readonly part: number;
  readonly of: number;
  /** GPUs that go to others first: to all that declare some, or of these, to those before it. */
  readonly before: number;
}

/** The scheduler counts devices from 0; this knows what they are called outside. */
export class NodeGpus {
  private constructor(
    private readonly devices: readonly GpuDevice[],
    /** What the label `accelerator-type` says; undefined where they are of several types, or unknown ones. */
    readonly type: string | undefined,
    readonly notes: readonly string[],
  ) {}

  /** @throws InvalidOptionError where more are declared than CUDA_VISIBLE_DEVICES leaves to the node */
  static of(found: FoundGpus, { declared, visible, share }: OfferedGpus): NodeGpus {
    const known = declared === undefined ? (found.devices ?? []) : found.devices;
    const devices = visibleDevices(visible, known) ?? [];
    const notes = [...found.notes];
    if (declared === undefined) {
      const left = devices.slice(share?.before ?? 0);
      const own = share === undefined ? left : left.filter((_, place) => place % share.of === share.part);
      return NodeGpus.made(own, notes);
    }
    // Where there are none at all, every node may play with its own.
    const before = devices.length > 0 ? (share?.before ?? 0) : 0;
    if (before + declared <= devices.length)
      return NodeGpus.made(devices.slice(before, before + declared), notes);
    if (visible !== undefined && devices.length > 0) {
      throw new InvalidOptionError(
        `gpus: ${declared}, but CUDA_VISIBLE_DEVICES=${visible} leaves ${Math.max(0, devices.length - before)} to this node` +
          `${before > 0 ? `, as ${before} are declared for others of this program` : ""}; ` +
          `declare at most so many, or unset the variable`,
      );
    }
    if (found.devices !== undefined && devices.length > 0) {
      notes.push(
        `${before + declared} GPUs are declared where ${devices.length} were found: ` +
          (before > 0 ? `those of this node are numbered from ${before}` : "they are numbered from 0"),
      );
    }
    const plain = Array.from({ length: declared }, (_, place) => {
      const index = before + place;
      return { entry: String(index), index };
    });
    return new NodeGpus(plain, commonType(devices), notes);
  }

  private static made(devices: readonly GpuDevice[], notes: string[]): NodeGpus {
    const type = commonType(devices);
    if (type === undefined && devices.some(({ name }) => name !== undefined)) {
      const names = [...new Set(devices.map(({ name }) => name))].join(", ");
      notes.push(`no label accelerator-type was set for GPUs that have no type in common: ${names}`);
    }
    return new NodeGpus(devices, type, notes);
  }

  get count(): number {
    return this.devices.length;
  }

  /** What tasks see as `gpuIds`: the machine's numbers of whole GPUs; places in the node's list where some have none. */
  numbers(places: readonly number[]): number[] {
    const plain = this.devices.every(({ index, mig }) => index !== undefined && mig === undefined);
    return places.map((place) => (plain ? (this.devices[place]?.index ?? place) : place));
  }

  /** CUDA_VISIBLE_DEVICES for a process with these devices; undefined on a node without GPUs, which leaves it alone. */
  variable(places: readonly number[]): string | undefined {
    if (this.count === 0) return undefined;
    return places.map((place) => this.devices[place]?.entry ?? String(place)).join(",");
  }
}
