#!/usr/bin/env bash
# Install packages of Debian or Ubuntu.
#   scripts/apt_install.sh WHAT_IS_MISSING PACKAGE...
set -euo pipefail
cd "$(dirname "$0")"

missing=$1
shift
./as_root.sh "$missing" "$*" <<END
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends $* >/dev/null
END
