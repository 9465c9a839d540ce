// Judges events with ajv: one text a line on standard input, `1` or `0` a line on standard output.
// The schemas are compiled in strict mode, where a keyword that ajv does not know is an error; our
// own are declared, so that nothing else gets through.
//
//     node judge.mjs FOLDER_OF_A_VERSION

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Ajv2020 from "ajv/dist/2020.js";

const NOTES = ["x-question", "x-purpose", "x-owner", "x-since", "x-when", "x-identity", "x-retired", "x-coarser"];

const ajv = new Ajv2020({ strict: true });
ajv.addVocabulary(NOTES);

const folder = process.argv[2];
const judges = new Map();
for (const name of readdirSync(folder).sort()) {
  const schema = JSON.parse(readFileSync(join(folder, name), "utf8"));
  judges.set(schema.properties.event.const, ajv.compile(schema));
}

function isValid(text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch {
    return false;
  }
  const isObject = typeof event === "object" && event !== null && !Array.isArray(event);
  const judge = isObject ? judges.get(event.event) : undefined;
  return judge !== undefined && judge(event);
}

const texts = readFileSync(0, "utf8").split("\n").slice(0, -1);
process.stdout.write(texts.map((text) => (isValid(text) ? "1\n" : "0\n")).join(""));
