#!/usr/bin/env bash
# Make sure that promtool, which tests the alerts, is on the PATH or in build/promtool. It is taken
# out of Debian's package of Prometheus; nothing of that is installed, and nothing is started.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/promtool
if command -v promtool >/dev/null || [ -x $folder/promtool ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "promtool is missing, and there is no apt: the alerts are not tested." >&2
    exit 0
fi

download() {
    (cd $folder && apt-get -qq -o APT::Sandbox::User=root download prometheus >/dev/null)
}

echo "Fetching promtool into $folder" >&2
rm -rf $folder
mkdir -p $folder
download 2>/dev/null || {
    scripts/as_root.sh "The list of packages" prometheus <<<"apt-get update -qq"
    download
}
dpkg-deb --fsys-tarfile $folder/prometheus_*.deb | tar --extract --directory $folder \
    --strip-components=3 ./usr/bin/promtool
rm $folder/prometheus_*.deb
