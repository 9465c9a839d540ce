// A client's decisions, written from docs/rules.mdx, docs/telemetry.mdx and schemas/ alone. Each comes
// from the section that is named in it; tables and numbers are read from the pages, not repeated here.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { code, codes, number } from "./page.mjs";

const sha256 = (text) => createHash("sha256").update(text, "utf8").digest("hex");
const trim = (text) => text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, "");

// At most one character missing, added, wrong, or swapped with the next.
function isOneSlip(known, name) {
  let same = 0;
  while (same < known.length && known[same] === name[same]) same++;
  const meant = known.slice(same);
  const said = name.slice(same);
  const swapped = said[1] + said[0] + said.slice(2);
  return [said, said.slice(1), swapped].includes(meant) || [said, said.slice(1)].includes(meant.slice(1));
}

export class Client {
  constructor(root, page, schemas) {
    this.page = page;
    this.schemas = schemas;
    this.models = JSON.parse(readFileSync(join(root, "schemas", "models.json"), "utf8"));
  }

  // Rates and runs

  rate(value) {
    const text = trim(value ?? "");
    const number = trim(text.replace(/%$/, "")).replaceAll(",", ".");
    if (!/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(number)) return 1;
    const rate = Number(number) / (text.endsWith("%") ? 100 : 1);
    return rate >= 0 && rate <= 1 ? Math.abs(rate) : 1;
  }

  ratio(runId) {
    const [digits, divisor] = this.page.find(
      "Rates and runs",
      /first (\d+) hex digits of SHA-256\(run ID\) make, divided by `(0x[0-9A-F]+)`/,
    );
    return parseInt(sha256(runId).slice(0, Number(digits)), 16) / Number(divisor);
  }

  keeps(runId, rate) {
    return rate >= 1 || this.ratio(runId) < rate;
  }

  isSampled(event) {
    const schema = this.schemas.get(event.event);
    if (!("sample_rate" in schema.properties)) return false;
    const fits = ({ required, properties }) =>
      required.every((name) => name in event) &&
      Object.entries(properties).every(
        ([name, rule]) => rule === true || rule.enum.includes(event[name]),
      );
    return !(schema.if && schema.if.anyOf.some(fits));
  }

  // Ranges

  range(field, amount) {
    const row = this.page.table("Ranges", "range and its beginning").find((r) => code(r.field) === field);
    const [day] = this.page.find("Ranges", /whole days of ([\d,]+) seconds/);
    const measure = { seconds: (n) => n, days: (n) => Math.floor(n / number(day)), count: (n) => n };
    const amountOf = measure[row["of what"]](amount);
    const ranges = [...row["range and its beginning"].matchAll(/`([^`]+)` ([\d,]*\d)/g)];
    return ranges.filter((found) => number(found[2]) <= amountOf).at(-1)[1];
  }

  ageRanges(seconds) {
    if (seconds === null) {
      const [call] = this.page.find("Ranges", /unknown `time_to_first_call_bucket` is `(\w+)` and/);
      return [call, null];
    }
    const age = Math.max(0, seconds);
    return [this.range("time_to_first_call_bucket", age), this.range("days_since_install_bucket", age)];
  }

  // Consent

  consent({ environ, dotenv, marker, flag }) {
    for (const row of this.page.table("Consent", "rule")) {
      const rule = code(row.rule);
      const words = new Set(row["off when"].includes("empty") ? [""] : []);
      for (const word of codes(row["off when"])) words.add(word);
      const refuses = (value) => value !== undefined && !words.has(trim(value).toLowerCase());
      const off = {
        "opt-out marker": () => marker,
        "telemetry=False": () => flag !== null && !flag,
        "CI or test run": () => this.isMachine(environ, refuses),
      };
      const variable = () =>
        [environ, dotenv].some((place) => refuses(place[rule]) || this.isMisspelt(place, rule, refuses));
      if ((off[rule] ?? variable)()) return { on: false, rule };
    }
    return { on: true, rule: "default" };
  }

  isMisspelt(place, rule, refuses) {
    const heading = "Misspelt opt-outs";
    const names = codes(this.page.find(heading, /The names that there are: (.+?)\. Another name/)[0]);
    const [first, others] = this.page.find(heading, /(`\w+`) and one of (.+?) are in it/);
    const has = (name, words) => codes(words).some((word) => name.includes(word));
    const isLike = (name) =>
      (has(name, first) && has(name, others)) || names.some((known) => isOneSlip(known, name));
    const fits = (row, name) => {
      const said = row["its name"];
      if (said.startsWith("is one slip")) return isOneSlip(code(row.meant), name);
      return codes(said).length === 0 || has(name, said);
    };
    return Object.entries(place).some(([name, value]) => {
      const upper = name.toUpperCase();
      if (names.includes(name) || !isLike(upper)) return false;
      const row = this.page.table(heading, "meant").find((one) => fits(one, upper));
      const values = codes(row["its value"]);
      const isOff = values.length ? values.includes(trim(value).toLowerCase()) : refuses(value);
      return code(row.meant) === rule && isOff;
    });
  }

  isMachine(environ, refuses) {
    const looked = this.page.table("What else is looked at", "for");
    const variables = (what) => looked.find((row) => row.for === what).variables;
    if (codes(variables("off in CI")).some((name) => refuses(environ[name]))) return true;
    const [there, compared] = variables("off in test runs").split(";");
    const named = codes(compared);
    const wanted = named.pop();
    return (
      codes(there).some((name) => name in environ) ||
      named.some((name) => trim(environ[name] ?? "").toLowerCase() === wanted)
    );
  }

  // Where it runs

  shape(present) {
    const heading = "Where it runs";
    const [, pip, none] = this.page.find(heading, /any, `(\w+)` is `(\w+)` in Python and the others are `(\w+)`/);
    const found = {};
    for (const row of this.page.table(heading, "variables")) {
      const field = code(row.field);
      found[field] ??= null;
      if (codes(row.variables).some((name) => present.includes(name))) found[field] ??= code(row.value);
    }
    for (const field of Object.keys(found)) found[field] ??= field === "package_manager" ? pip : none;
    return found;
  }

  system(field, called) {
    const rows = this.page.table("Where it runs", "what the system calls itself");
    const name = field === "arch" ? called.toLowerCase() : called;
    const row = rows
      .filter((r) => code(r.field) === field)
      .find(({ "what the system calls itself": names }) =>
        names.includes("with or without a version")
          ? name.startsWith(code(names))
          : codes(names).includes(name),
      );
    return row ? code(row.value) : "other";
  }

  // Engines

  engine({ mode, llm, stt, tts }) {
    if (!mode) return [null, null];
    const row = this.page.table("Engines", "mode").find((r) => codes(r.mode).includes(mode.toLowerCase()));
    if (!row) return ["other", "other"];
    const layer = [llm, stt, tts].find((key) => key);
    return [code(row["`engine`"]), code(row["`provider`"]) ?? this.vendor(layer)];
  }

  // Model tokens

  vendor(key) {
    const lower = (key ?? "").toLowerCase();
    const rows = this.page.table("Model tokens", "also known as");
    const alias = rows.find((row) => codes(row["also known as"]).includes(lower));
    const name = alias ? code(alias.vendor) : lower;
    const listed = this.schemas.get("feature_used").properties.stt_provider.enum;
    return listed.includes(name) && name !== "none" ? name : "other";
  }

  token(key, model) {
    if (key === "none" || model === null) return null;
    const vendor = this.vendor(key);
    const [longest] = this.page.find("Model tokens", /name of at most (\d+) characters/);
    const [digits] = this.page.find("Model tokens", /with exactly (\d+) digits at its end/);
    // eslint-disable-next-line no-control-regex
    const isName = [...model].length <= Number(longest) && /^[\x00-\x7f]*$/.test(model);
    const name = isName ? model.toLowerCase().replaceAll("_", "-") : "";
    const plain = name.replace(new RegExp(`-[0-9]{${digits}}$`), "");
    const at = plain.lastIndexOf("/");
    const [path, rest] = [plain.slice(0, Math.max(0, at)), plain.slice(at + 1)];
    const known = this.models[vendor] ?? { models: [], prefixes: [] };
    const isPath = at < 0 || path === vendor || known.prefixes.includes(path);
    return isPath && known.models.includes(rest) ? `${vendor}-${rest}` : `${vendor}-other`;
  }

  // How a call ended

  layer(errorCode, stage, isMetrics) {
    const rows = this.page.table("How a call ended", "stages");
    const by = (column, word) => rows.find((row) => codes(row[column]).includes(word));
    const row =
      by("stages", stage) ??
      (isMetrics ? by("codes in the metrics", errorCode) : undefined) ??
      by("codes", errorCode);
    return row ? code(row["`error_layer`"]) : "other";
  }

  ending(known) {
    const isError = known.error_code !== null;
    const word = (yes) => (yes ? "yes" : "no");
    const beside = known.connected ? known.hung_up : known.unanswered ?? known.hung_up;
    const row = this.page
      .table("How a call ended", "media began")
      .filter((r) => r["media began"] === word(known.connected))
      .filter((r) => r["terminal error"] === word(isError))
      .find((r) => isError || code(r["known beside"]) === (beside ?? null));
    const ofError = {
      "`error_layer`": () => this.layer(known.error_code, known.error_stage, false),
      "`disconnect_reason`": () => this.reason(known.error_code),
    };
    const cell = (column) =>
      row[column] === "of the error" ? ofError[column]() : code(row[column]);
    return [cell("`outcome`"), cell("`error_layer`"), cell("`disconnect_reason`")];
  }

  reason(errorCode) {
    const [timeout, named, other] = this.page.find(
      "How a call ended",
      /error is `(\w+)` if its code is `(\w+)`, else `(\w+)`/,
    );
    return errorCode === named ? timeout : other;
  }

  leaving(reason, cause) {
    const row = this.page
      .table("How a call ended", "leave reason")
      .filter((r) => code(r["leave reason"]) === reason)
      .find((r) => (cause === null ? codes(r.causes).length === 0 : codes(r.causes).includes(cause)));
    return row ? [code(row["abort code"]), code(row["`disconnect_reason`"])] : [null, null];
  }

  leaveReasons() {
    return this.page.table("How a call ended", "leave reason").flatMap((row) => {
      const causes = codes(row.causes);
      return (causes.length ? causes : [null]).map((cause) => `${code(row["leave reason"])} ${cause}`);
    });
  }

  // Requests

  partKey(key, part) {
    const [digits] = this.page.find("Requests", /first (\d+) hex digits of SHA-256\(key:n\)/);
    return sha256(`${key}:${part}`).slice(0, Number(digits));
  }
}
