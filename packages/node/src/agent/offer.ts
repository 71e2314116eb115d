/** What a node has to offer when it starts. */
import { ACCELERATOR_TYPE } from "@stingray/scheduler";
import { findGpus } from "../gpu/find.js";
import { NodeGpus, type FoundGpus } from "../gpu/node-gpus.js";
import type { AgentConfig } from "./options.js";

export interface NodeOffer {
  /** Resources in the user's units, `GPU` among them. */
  readonly total: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly gpus: NodeGpus;
}

const NONE: FoundGpus = { devices: [], notes: [] };

/**
 * Looks for the GPUs, unless none are to be offered, for 5 seconds at most.
 * @throws InvalidOptionError where more are declared than CUDA_VISIBLE_DEVICES leaves to the node
 */
export async function nodeOffer(config: AgentConfig, env = process.env): Promise<NodeOffer> {
  const { gpus: declared, gpuShare: share, log } = config;
  const gpus =
    declared === 0
      ? NodeGpus.of(NONE, { declared })
      : NodeGpus.of(await findGpus({ env }), { declared, share, visible: env["CUDA_VISIBLE_DEVICES"] });
  for (const note of gpus.notes) log(note);
  const { CPU: cpus = 0, ...rest } = config.total;
  const type = gpus.count === 0 ? undefined : gpus.type;
  return {
    total: gpus.count === 0 ? config.total : { CPU: cpus, GPU: gpus.count, ...rest },
    labels: { ...(type === undefined ? {} : { [ACCELERATOR_TYPE]: type }), ...config.labels },
    gpus,
  };
}
