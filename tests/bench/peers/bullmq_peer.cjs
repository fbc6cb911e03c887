// BullMQ's program, run by node with NODE_PATH at its packages: see peer.py for its arguments.
"use strict";

const fs = require("node:fs");
const { Queue, Worker } = require("bullmq");

const PAYLOAD = { to: "user@example.com", subject: "Hello", body: "hello ".repeat(8) };
const BATCH = 500;
const CONCURRENCY = 64;

const address = new URL(process.env.BENCH_URL);
const connection = {
  host: address.hostname,
  port: Number(address.port),
  maxRetriesPerRequest: null,
};

// The machine's monotonic clock in seconds, as the suite reads it.
const now = () => Number(process.hrtime.bigint()) / 1e9;

function work() {
  const done = fs.openSync(process.env.BENCH_DONE, "a");
  const handle = async () => {
    fs.writeSync(done, ".");
  };
  const worker = new Worker("bench", handle, { connection, concurrency: CONCURRENCY });
  worker.on("error", (error) => console.error(error.message));
}

async function single(queue, jobs, submitters) {
  let left = jobs;
  const run = async () => {
    while (left-- > 0) await queue.add("noop", PAYLOAD);
  };
  await Promise.all(Array.from({ length: submitters }, run));
}

async function bulk(queue, jobs) {
  for (let first = 0; first < jobs; first += BATCH) {
    const length = Math.min(BATCH, jobs - first);
    await queue.addBulk(Array.from({ length }, () => ({ name: "noop", data: PAYLOAD })));
  }
}

async function main(role, jobs, submitters) {
  if (role === "worker") return work();
  const queue = new Queue("bench", { connection });
  await queue.waitUntilReady();
  const began = now();
  await (role === "single" ? single(queue, jobs, submitters) : bulk(queue, jobs));
  console.log(JSON.stringify({ began, seconds: now() - began }));
  await queue.close();
}

const [role, jobs, submitters] = process.argv.slice(2);
main(role, Number(jobs), Number(submitters));
