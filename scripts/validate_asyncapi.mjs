// Print what AsyncAPI's parser has to say about a document; fail on errors.
//     node validate_asyncapi.mjs schemas/fer_schemas/asyncapi.yaml

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Parser } from "@asyncapi/parser";

const ERROR = 0; // severity: 0 error, 1 warning, 2 information, 3 hint

const path = process.argv[2];
const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"), {
  source: resolve(path), // references to other files start from here
});

for (const { severity, range, path: where, message } of diagnostics) {
  const kind = severity === ERROR ? "error" : "note";
  console.error(`${path}:${range.start.line + 1}: ${kind}: ${message} (${where.join(".")})`);
}
if (document === undefined || diagnostics.some(({ severity }) => severity === ERROR)) {
  process.exit(1);
}
console.log(`${path}: valid AsyncAPI ${document.version()}`);
