/**
 * The method of Ray's own microbenchmark: run the iteration for a second to warm up, take a tenth of that count as the
 * step, then per round repeat whole steps until the round's time is over; a rate is operations over elapsed time.
 */

/** What a case prepares for one subject: something to repeat, and the way to undo the preparation. */
export interface Iteration {
  run(): Promise<void>;
  end(): Promise<void>;
}

/** Something that can be measured round by round, so that rounds of several subjects can take turns. */
export interface Subject {
  readonly name: string;
  /** Runs unmeasured for `seconds`. */
  warmUp(seconds: number): Promise<void>;
  /** One round of at least `seconds`; resolves to its figure in the unit of the case. */
  round(seconds: number): Promise<number>;
  end(): Promise<void>;
}

/** A subject whose figure is a rate: `operations` per iteration over time, per second. */
export function rateSubject(name: string, iteration: Iteration, operations: number): Subject {
  let step = 1;
  return {
    name,
    async warmUp(seconds) {
      const start = performance.now();
      let count = 0;
      while (performance.now() - start < seconds * 1000) {
        await iteration.run();
        count++;
      }
      step = Math.floor(count / 10) + 1;
    },
    async round(seconds) {
      const start = performance.now();
      let count = 0;
      while (performance.now() - start < seconds * 1000) {
        for (let i = 0; i < step; i++) await iteration.run();
        count += step;
      }
      return (operations * count * 1000) / (performance.now() - start);
    },
    end: () => iteration.end(),
  };
}

/** What a case measures bit by bit: each sample resolves to the milliseconds of its timed part. */
export interface Sampling {
  sample(): Promise<number>;
  end(): Promise<void>;
}

/**
 * A subject that times a part of each sample; what a sample needs before and after is not in its figure, only in the
 * duration of the round. `figure` makes the samples of a round, in milliseconds and at least one, into its figure.
 */
export function sampledSubject(
  name: string,
  sampling: Sampling,
  figure: (samples: readonly number[]) => number,
): Subject {
  const collect = async (seconds: number): Promise<number[]> => {
    const start = performance.now();
    const samples: number[] = [];
    do samples.push(await sampling.sample());
    while (performance.now() - start < seconds * 1000);
    return samples;
  };
  return {
    name,
    async warmUp(seconds) {
      await collect(seconds);
    },
    round: async (seconds) => figure(await collect(seconds)),
    end: () => sampling.end(),
  };
}

/** A subject that is prepared by its warm-up, so that a failure of the preparation is one of the subject. */
export function preparedSubject(name: string, prepare: () => Promise<Subject>): Subject {
  let subject: Subject | undefined;
  return {
    name,
    async warmUp(seconds) {
      subject = await prepare();
      await subject.warmUp(seconds);
    },
    round: async (seconds) => (subject ? subject.round(seconds) : 0),
    end: async () => subject?.end(),
  };
}

/** A subject whose figure is the duration in seconds that one run reports. A round is one run, whatever its length. */
export function durationSubject(name: string, run: () => Promise<number>): Subject {
  return {
    name,
    async warmUp() {
      await run();
    },
    round: run,
    async end() {},
  };
}

/** The rounds of every subject by its name, and why a subject dropped out. */
export interface Measured {
  rounds: Map<string, number[]>;
  failures: Map<string, Error>;
}

/** How the subjects of a case take turns. */
export interface Turns {
  rounds: number;
  /** Shortest duration of a round. */
  seconds: number;
  /** Told before each step; round 0 is the warm-up. */
  onProgress?: (subject: string, round: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Measures all subjects in turns: each warms up, then every round runs each subject once, beginning with another one
 * each time, so that a slow minute of the machine meets all of them. A subject that fails drops out and the rest goes
 * on. Ends all subjects, also when `signal` stops it, which takes until the running round is over.
 */
export async function measureInTurns(subjects: readonly Subject[], o: Turns): Promise<Measured> {
  const rounds = new Map<string, number[]>(subjects.map((subject) => [subject.name, []]));
  const failures = new Map<string, Error>();
  const attempt = async (subject: Subject, work: () => Promise<void>): Promise<void> => {
    if (failures.has(subject.name) || o.signal?.aborted) return;
    try {
      await work();
    } catch (error) {
      failures.set(subject.name, error instanceof Error ? error : new Error(String(error)));
      rounds.delete(subject.name);
    }
  };
  for (const subject of subjects) {
    o.onProgress?.(subject.name, 0);
    await attempt(subject, () => subject.warmUp(Math.min(1, o.seconds)));
  }
  for (let round = 0; round < o.rounds; round++) {
    for (let i = 0; i < subjects.length; i++) {
      const subject = subjects[(i + round) % subjects.length];
      if (!subject) continue;
      o.onProgress?.(subject.name, round + 1);
      await attempt(subject, async () => {
        const value = await subject.round(o.seconds);
        rounds.get(subject.name)?.push(value);
      });
    }
  }
  for (const subject of subjects) {
    try {
      await subject.end();
    } catch (error) {
      if (!failures.has(subject.name)) {
        failures.set(subject.name, error instanceof Error ? error : new Error(String(error)));
      }
    }
  }
  o.signal?.throwIfAborted();
  return { rounds, failures };
}
