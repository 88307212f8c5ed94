#!/usr/bin/env bash
# Validate schemas/fer_schemas/asyncapi.yaml with AsyncAPI's own parser.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
    echo "npm is missing: schemas/fer_schemas/asyncapi.yaml was not validated." >&2
    exit 0
fi

# Node looks for packages beside the script that imports them.
build=build/asyncapi
mkdir -p "$build"
cp scripts/package.json scripts/validate_asyncapi.mjs "$build"
npm install --prefix "$build" --no-package-lock --no-audit --no-fund --loglevel error >/dev/null
node "$build/validate_asyncapi.mjs" schemas/fer_schemas/asyncapi.yaml
