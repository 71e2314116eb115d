/** A GPU, or a part of one, that a process can be given. */
export interface GpuDevice {
  /** Names it in CUDA_VISIBLE_DEVICES: a number, or a UUID where numbers don't name it (parts of GPUs, see MIG). */
  readonly entry: string;
  /** As `nvidia-smi` numbers the GPU; undefined where only a UUID is known. */
  readonly index: number | undefined;
  /** Of the GPU. */
  readonly uuid?: string | undefined;
  /** Of the part of the GPU; undefined for a whole one. */
  readonly mig?: string | undefined;
  /** Of the GPU, for example `NVIDIA A100-SXM4-80GB`. */
  readonly name?: string | undefined;
}
