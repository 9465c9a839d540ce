// Reads pages of the documentation as a reader does: sections, tables, and what stands in backticks.

import { readFileSync } from "node:fs";

export class Page {
  constructor(...paths) {
    this.text = paths.map((path) => readFileSync(path, "utf8")).join("\n");
  }

  // The text below a heading, up to the next one.
  section(heading) {
    const lines = this.text.split("\n");
    const at = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, "") === heading);
    if (at < 0) throw new Error(`the page has no heading "${heading}"`);
    const rest = lines.slice(at + 1);
    const end = rest.findIndex((line) => /^#+ /.test(line));
    return rest.slice(0, end < 0 ? undefined : end).join("\n");
  }

  // The table below a heading that has such a column, as rows: column -> cell.
  table(heading, column) {
    const tables = this.section(heading)
      .split(/\n\s*\n/)
      .map((part) => part.split("\n").filter((line) => line.startsWith("|")))
      .filter((lines) => lines.length > 2);
    for (const [head, , ...body] of tables) {
      const columns = cells(head);
      if (columns.includes(column)) {
        return body.map((line) => {
          const found = cells(line);
          if (found.length !== columns.length) throw new Error(`a row that is torn: ${line}`);
          return Object.fromEntries(columns.map((name, index) => [name, found[index]]));
        });
      }
    }
    throw new Error(`no table with "${column}" below "${heading}"`);
  }

  // The groups of the first place in a section where the pattern fits.
  find(heading, pattern) {
    const found = this.section(heading).replace(/\s+/g, " ").match(pattern);
    if (!found) throw new Error(`"${heading}" does not say ${pattern}`);
    return found.slice(1);
  }
}

function cells(line) {
  return line.slice(1, line.lastIndexOf("|")).split("|").map((cell) => cell.trim());
}

// What stands in backticks in a cell.
export function codes(cell) {
  return [...cell.matchAll(/`([^`]+)`/g)].map((found) => found[1]);
}

export function code(cell) {
  return codes(cell)[0] ?? null;
}

// A number as the page writes it: `3,600`.
export function number(text) {
  return Number(text.replaceAll(",", ""));
}
