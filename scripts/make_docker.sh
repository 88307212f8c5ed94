#!/usr/bin/env bash
# Make sure that the Docker engine of Debian 13 is there for scripts/with_docker.sh: in a system of its
# own, 0.6 GB, a minute; `docker` is in build/docker/bin. Another one is what stand-ins for images are
# made of where no registry is reachable.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/docker
if [ ! -c /dev/net/tun ] && [ "$(id -u)" -eq 0 ]; then
    echo "This needs an engine, docker, or /dev/net/tun to run one." >&2
    exit 2
fi
scripts/make_debian.sh $folder/root \
    ca-certificates docker-buildx docker-cli docker-compose docker.io iptables slirp4netns
mkdir -p $folder/bin
ln -sf ../../../scripts/docker_program.sh $folder/bin/docker
