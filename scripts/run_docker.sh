#!/usr/bin/env bash
# Start the Docker engine of scripts/make_docker.sh, run a command with it, and end it. Called by
# scripts/with_docker.sh as the first process of a namespace: what it leaves the kernel ends.
#   scripts/run_docker.sh COMMAND...
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/build/docker
root=$folder/root
# Sockets and process ids, of which an engine that was killed would leave some.
mount -t tmpfs tmpfs "$root/run"

# The way out: a network of its own, and a program outside it that passes on what it sends. It needs
# no firewall rule here, and does not reach this machine's own loopback.
unshare --net sleep infinity &
network=$!
while [ "/proc/$network/ns/net" -ef /proc/self/ns/net ]; do sleep 0.05; done
scripts/in_debian.sh "$root" slirp4netns --configure --mtu=65520 --disable-host-loopback \
    $network tap0 >"$folder/network.log" 2>&1 &
echo "nameserver 10.0.2.3" >"$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
inside=(nsenter --target "$network" --net)

unset DOCKER_CONFIG DOCKER_CONTEXT DOCKER_HOST
export PATH=$folder/bin:$PATH:/usr/sbin:/usr/bin:/sbin:/bin
"${inside[@]}" env --unset=SSL_CERT_FILE --unset=SSL_CERT_DIR scripts/in_debian.sh "$root" \
    dockerd --data-root "$folder/data" --cgroup-parent /fer-worker-docker \
    >"$folder/dockerd.log" 2>&1 </dev/null &
engine=$!
until docker version >/dev/null 2>&1; do
    if ! kill -0 $engine 2>/dev/null; then
        echo "No Docker engine starts here: $(tail -n 1 "$folder/dockerd.log")" >&2
        exit 2
    fi
    sleep 0.2
done

clear_up() {
    docker ps --all --quiet | xargs -r docker rm --force --volumes >/dev/null
    docker network prune --force >/dev/null
    docker volume prune --all --force >/dev/null
    docker image prune --force >/dev/null
}
clear_up # what a run that was killed has left
status=0
{ "${inside[@]}" scripts/pull_base_images.sh --or-stand-ins && "${inside[@]}" "$@"; } || status=$?
clear_up
kill $engine
wait $engine || true
exit $status
