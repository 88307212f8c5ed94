#!/bin/sh
# A program of the RabbitMQ 4 that scripts/test_rabbitmq4.sh has made, run in its own root with the
# caller's environment. It is called by the program's name, as a link to this file; needs root.
# What it mounts is seen by this process and its children alone, and is gone when they are.
set -eu

root=$(cd "$(dirname "$0")/../root" && pwd)
# shellcheck disable=SC2016  # for the inner shell
exec unshare --mount sh -euc '
    for place in /proc /dev "${TMPDIR:-/tmp}"; do
        mkdir -p "$0$place"
        mount --rbind "$place" "$0$place"
    done
    exec chroot "$0" "$@"
' "$root" "/usr/lib/rabbitmq/bin/$(basename "$0")" "$@"
