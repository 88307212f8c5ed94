#!/usr/bin/env bash
# Make sure that there is a Chromium to open pages in. Without one those tests are skipped.
set -euo pipefail
cd "$(dirname "$0")"

for program in chromium chromium-browser google-chrome; do
    if command -v $program >/dev/null; then
        exit 0
    fi
done
if ! command -v apt-get >/dev/null || grep --quiet '^ID=ubuntu' /etc/os-release; then
    # Ubuntu's package is none: it asks snap for another one, which containers do not have.
    echo "Chromium is missing, and not installed here: pages are not opened in a browser." >&2
    exit 0
fi
./apt_install.sh Chromium chromium || echo "Going on without Chromium." >&2
