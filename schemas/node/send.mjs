// Sends the valid vectors to a collector as a client in TypeScript would, and prints its answer.
//
//     node send.mjs ROOT_OF_THE_REPOSITORY ENDPOINT RUNTIME

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [root, endpoint, runtime] = process.argv.slice(2);
const vectors = JSON.parse(readFileSync(join(root, "schemas", "vectors", "v8", "valid.json"), "utf8"));
const hex = () => randomBytes(16).toString("hex");
const [run, install] = [hex(), hex()];
const events = vectors.map((event) => ({
  ...event,
  sdk: "typescript",
  runtime,
  runtime_version: process.versions.node.split(".").slice(0, 2).join("."),
  run_id: run,
  install_id: install,
}));

const answer = await fetch(endpoint, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
    "Idempotency-Key": hex(),
    "Patter-Batch-Age": "0",
    "Patter-Sample-Rate": "1",
  },
  body: JSON.stringify(events),
});
console.log(JSON.stringify({ status: answer.status, sent: events.length, ...(await answer.json()) }));
