#!/bin/sh
# fer-worker with its own Python. This file unpacks what follows these lines when it is first used, into
# $FER_WORKER_UNPACKED or ~/.cache/fer-worker, and becomes the program there: one process, which gets
# every signal once.
set -eu

place=${FER_WORKER_UNPACKED:-${XDG_CACHE_HOME:-${HOME-}/.cache}/fer-worker}
program=$place/@BUILD@/fer-worker

fail() {
    echo "fer-worker: cannot unpack into $place: $1; FER_WORKER_UNPACKED names another folder" >&2
    exit 1
}

unpack() {
    new=$(mkdir -p "$place" 2>/dev/null && mktemp -d "$place/new.XXXXXX" 2>/dev/null) ||
        fail "it cannot be written to"
    trap 'rm -rf "$new"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    tail -c +@OFFSET@ "$0" | tar -xz -C "$new" 2>/dev/null ||
        fail "no room for @SIZE@ MB, or this file is not complete"
    # Another one may have been faster.
    mv -T "$new" "${program%/*}" 2>/dev/null || rm -rf "$new"
    trap - EXIT INT TERM HUP
    [ -x "$program" ] || fail "nothing may be executed there"
}

[ -x "$program" ] || unpack
exec "$program" "$@"
