#!/usr/bin/env bash
# Make dist/fer-worker.cdx.json: all that an installation of the wheels in dist/ without extras consists
# of, in the versions of constraints.txt, as a CycloneDX SBOM.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/sbom
rm -rf $folder
.venv/bin/python -m venv $folder/tool
.venv/bin/python -m venv --without-pip $folder/installed

install() {
    $folder/tool/bin/python -m pip --python "$folder/$1" install -qq --disable-pip-version-check --no-input \
        --constraint constraints.txt "${@:2}"
}

install tool cyclonedx-bom
# By name, so that no path of this machine is written down.
install installed --find-links dist fer-worker
$folder/tool/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
    --output-file dist/fer-worker.cdx.json $folder/installed
echo "dist/fer-worker.cdx.json: $(grep -c '"purl"' dist/fer-worker.cdx.json) components"
