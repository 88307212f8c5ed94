#!/usr/bin/env bash
# Make sure that the engine has the images that ours are built from and run beside. With `--or-stand-ins`
# those that no registry gives are replaced, under their names, by ones made of Debian's packages
# (tests/containers/stand_ins); without it this ends with 2.
#   scripts/pull_base_images.sh [--or-stand-ins]
set -euo pipefail
cd "$(dirname "$0")/.."

has() { docker image inspect "$1" >/dev/null 2>&1; }

make_stand_in() {
    local base=build/docker/base name=${1##*/}
    if ! has stand-in/debian:trixie; then
        scripts/make_debian.sh $base ca-certificates netbase tzdata
        # The way to the registries is this machine's.
        cp -L /etc/ssl/certs/ca-certificates.crt $base/etc/ssl/certs/
        printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >$base/etc/pip.conf
        # As in the official images: packages start no services, and apt keeps no cache.
        printf '#!/bin/sh\nexit 101\n' >$base/usr/sbin/policy-rc.d
        chmod 755 $base/usr/sbin/policy-rc.d
        printf 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n' >$base/etc/apt/apt.conf.d/docker-clean
        tar --directory $base --numeric-owner --create --exclude='./dev/*' --exclude='./proc/*' \
            --exclude='./sys/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' . |
            docker import --change 'CMD ["bash"]' - stand-in/debian:trixie >/dev/null
    fi
    echo "Making a stand-in for $1" >&2
    docker build --quiet --tag "$1" "tests/containers/stand_ins/${name%%:*}" >/dev/null
}

for image in $(
    sed -n 's/^FROM \(.*:.*\) AS .*/\1/p' Dockerfile
    docker compose --profile '*' config --images | grep -v '^fer-worker'
); do
    if has "$image" || docker pull --quiet "$image" >/dev/null 2>&1; then
        continue
    elif [ "${1:-}" = --or-stand-ins ]; then
        make_stand_in "$image"
    else
        echo "The image $image is missing, and no registry gives it: docker pull $image" >&2
        exit 2
    fi
done
