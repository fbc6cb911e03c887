// graphile-worker's program, run by node with NODE_PATH at its packages: see peer.py for its
// arguments.
"use strict";

const fs = require("node:fs");
const { makeWorkerUtils, run } = require("graphile-worker");

const PAYLOAD = { to: "user@example.com", subject: "Hello", body: "hello ".repeat(8) };
const BATCH = 500;
const CONCURRENCY = 24;
const CONNECTIONS = 24;
// What it fetches ahead in one statement; what is ended meanwhile is deleted in one, too.
const AHEAD = 500;

const ADD_JOBS = `
  SELECT count(*) FROM graphile_worker.add_jobs(
    (SELECT array_agg(json_populate_record(null::graphile_worker.job_spec, spec))
     FROM json_array_elements($1::json) AS spec)
  )`;

const connectionString = process.env.BENCH_URL;

// The machine's monotonic clock in seconds, as the suite reads it.
const now = () => Number(process.hrtime.bigint()) / 1e9;

async function work() {
  const done = fs.openSync(process.env.BENCH_DONE, "a");
  const noop = async () => {
    fs.writeSync(done, ".");
  };
  const worker = {
    connectionString,
    concurrentJobs: CONCURRENCY,
    maxPoolSize: CONNECTIONS,
    localQueue: { size: AHEAD },
    completeJobBatchDelay: 0,
  };
  const runner = await run({ preset: { worker }, taskList: { noop } });
  await runner.promise;
}

async function single(utils, jobs, submitters) {
  let left = jobs;
  const submit = async () => {
    while (left-- > 0) await utils.addJob("noop", PAYLOAD);
  };
  await Promise.all(Array.from({ length: submitters }, submit));
}

async function bulk(utils, jobs) {
  for (let first = 0; first < jobs; first += BATCH) {
    const length = Math.min(BATCH, jobs - first);
    const specs = Array.from({ length }, () => ({ identifier: "noop", payload: PAYLOAD }));
    await utils.withPgClient((client) => client.query(ADD_JOBS, [JSON.stringify(specs)]));
  }
}

async function main(role, jobs, submitters) {
  if (role === "worker") return work();
  const utils = await makeWorkerUtils({ connectionString, maxPoolSize: Math.max(submitters || 1, 2) });
  try {
    const began = now();
    await (role === "single" ? single(utils, jobs, submitters) : bulk(utils, jobs));
    console.log(JSON.stringify({ began, seconds: now() - began }));
  } finally {
    await utils.release();
  }
}

const [role, jobs, submitters] = process.argv.slice(2);
main(role, Number(jobs), Number(submitters)).catch((error) => {
  console.error(error);
  process.exit(1);
});
