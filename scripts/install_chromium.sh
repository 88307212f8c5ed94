#!/usr/bin/env bash
# Make sure that there is a Chromium to open pages in, headless; without one those tests are skipped.
set -euo pipefail
cd "$(dirname "$0")"

for program in chromium chromium-browser google-chrome; do
    if command -v $program >/dev/null; then
        exit 0
    fi
done
# Ubuntu's package of that name only asks snap for another one, which containers do not have.
if ! apt-cache policy chromium 2>/dev/null | grep --quiet '^  Candidate: [0-9]' ||
    grep --quiet '^ID=ubuntu' /etc/os-release; then
    echo "Chromium is missing, and no package has it: pages are not opened in a browser." >&2
    exit 0
fi
./apt_install.sh Chromium chromium
