#!/usr/bin/env bash
# Run a command that needs a Docker engine: with the engine at hand, or else, as root on Debian, with one
# that is made in build/docker and lives as long as the command. Ends with 2 where something is missing.
#   scripts/with_docker.sh COMMAND...
# An engine made here is that of Debian 13. It and the command have processes, mounts and a network of
# their own, so nothing of it is seen outside, and nothing is left. Its images are kept.
set -euo pipefail
cd "$(dirname "$0")/.."

if docker version >/dev/null 2>&1; then
    if ! { docker compose version && docker buildx version; } >/dev/null 2>&1; then
        echo "This needs docker's plugins compose and buildx." >&2
        exit 2
    fi
    scripts/pull_base_images.sh
    exec "$@"
fi

scripts/make_docker.sh
exec {lock}>build/docker/lock
if ! flock --nonblock "$lock"; then
    echo "Another command has the engine in build/docker." >&2
    exit 2
fi
# Whatever ends first, the kernel ends the rest: this script, or the first process of the engine's.
status=0
setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc \
    scripts/run_docker.sh "$@" || status=$?
# The control groups of its containers are those of the machine.
find /sys/fs/cgroup -depth -type d -path '*/fer-worker-docker*' -exec rmdir {} + 2>/dev/null || true
exit $status
