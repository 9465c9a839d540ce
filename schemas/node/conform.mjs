// Runs the golden vectors through a client that was written from the page and the schemas alone.
// Prints every row on which it does not agree; exit 1 if there is one.
//
//     node conform.mjs ROOT_OF_THE_REPOSITORY

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Client } from "./client.mjs";
import { Page, code, codes } from "./page.mjs";

const root = process.argv[2];
const read = (...path) => JSON.parse(readFileSync(join(root, "schemas", ...path), "utf8"));
const versions = readdirSync(join(root, "schemas")).filter((name) => /^v[0-9]+$/.test(name));
const newest = versions.sort((one, other) => one.slice(1) - other.slice(1)).at(-1);
const schemas = new Map(
  readdirSync(join(root, "schemas", newest)).map((name) => {
    const schema = read(newest, name);
    return [schema.properties.event.const, schema];
  }),
);
const pages = ["rules.mdx", "telemetry.mdx"].map((name) => join(root, "docs", name));
const client = new Client(root, new Page(...pages), schemas);

// File of vectors -> what the client says of a row, and what the row says.
const CHECKS = {
  sampling: (row) => [
    [client.ratio(row.run_id), client.keeps(row.run_id, row.rate)],
    [row.ratio, row.kept],
  ],
  sampled_events: (row) => [client.isSampled(row.event), row.sampled],
  sample_rates: (row) => [client.rate(row.value), row.rate],
  ages: (row) => [
    client.ageRanges(row.seconds),
    [row.time_to_first_call_bucket, row.days_since_install_bucket],
  ],
  counts: ({ count, ...ranges }) => [
    Object.keys(ranges).map((field) => client.range(field, count)),
    Object.values(ranges),
  ],
  consent: (row) => [client.consent(row), { on: row.on, rule: row.rule }],
  deploy_shapes: ({ present, ...shape }) => [client.shape(present), shape],
  systems: (row) => [client.system(row.field, row.called), row.value],
  provider_modes: (row) => [client.engine(row), [row.engine, row.provider]],
  model_tokens: (row) => [client.token(row.vendor, row.model), row.token],
  endings: (row) => [client.ending(row), [row.outcome, row.error_layer, row.disconnect_reason]],
  metrics_error_layers: (row) => [
    [client.layer(row.error_code, null, true), client.reason(row.error_code)],
    [row.error_layer, row.disconnect_reason],
  ],
  leave_reasons: (row) => [
    client.leaving(row.leave_reason, row.cause),
    [row.abort_code, row.disconnect_reason],
  ],
  batch_keys: (row) => [client.partKey(row.key, row.part), row.part_key],
};

const problems = [];
let count = 0;
for (const name of readdirSync(join(root, "schemas", "vectors"))) {
  if (name.endsWith(".json") && !(name.slice(0, -5) in CHECKS)) problems.push(`${name}: nobody reads it`);
}
for (const [name, check] of Object.entries(CHECKS)) {
  for (const row of read("vectors", `${name}.json`)) {
    count += 1;
    let said;
    try {
      const [ours, theirs] = check(row);
      said = JSON.stringify(ours) === JSON.stringify(theirs) ? null : JSON.stringify(ours);
    } catch (error) {
      said = error.message;
    }
    if (said !== null) problems.push(`${name}.json: ${JSON.stringify(row)}: the page says ${said}`);
  }
}

// The other way round: what the page lists, the vectors have.
const rows = (name) => read("vectors", `${name}.json`);
const leaving = rows("leave_reasons").map((row) => `${row.leave_reason} ${row.cause}`).sort();
if (JSON.stringify(client.leaveReasons().sort()) !== JSON.stringify(leaving)) {
  problems.push("leave_reasons.json and the page do not have the same reasons and causes");
}
// A reason, a layer or an outcome that the schema does not list could never be sent.
const listed = (field) => schemas.get("call_completed").properties[field].enum;
for (const name of ["endings", "leave_reasons", "metrics_error_layers"]) {
  for (const row of rows(name)) {
    for (const field of ["outcome", "error_layer", "disconnect_reason", "error_code"]) {
      const isFallback = name === "metrics_error_layers" && field === "error_code";
      if (row[field] && !isFallback && !listed(field).includes(row[field])) {
        problems.push(`${name}.json: ${field} ${row[field]} is not in the schema`);
      }
    }
  }
}

// The pages say some things twice, once for users and once exactly.
function same(what, one, other) {
  if (JSON.stringify(one) !== JSON.stringify(other)) problems.push(`the pages say of ${what} both ${one} and ${other}`);
}
const page = client.page;
const consent = page.table("Consent", "rule");
for (const row of page.table("Settings", "what it does")) {
  const exact = consent.find((r) => r.rule === row.variable);
  const like = codes(row["what it does"])[0];
  const words = /^off, like/.test(row["what it does"])
    ? codes(consent.find((r) => code(r.rule) === like)["off when"])
    : codes(row["what it does"]);
  if (exact) same(code(row.variable), words, codes(exact["off when"]));
}
const looked = page.table("What else is looked at", "for");
const shape = page.table("Where it runs", "variables");
for (const field of new Set(shape.map((row) => code(row.field)))) {
  const exact = shape.filter((row) => code(row.field) === field).flatMap((row) => codes(row.variables));
  const row = looked.find((r) => code(r.for) === field);
  same(field, codes(row?.variables ?? ""), [...new Set(exact)]);
}

for (const problem of problems) console.log(problem);
console.log(`${count} vectors, ${problems.length} disagreements`);
process.exit(problems.length ? 1 : 0);
