#!/usr/bin/env bash
# Make sure that RabbitMQ's programs are there. An installed one is left as it is. A new one gets
# no system broker: the package would start it now and on every boot, but the demo and the tests
# run nodes of their own.
set -euo pipefail
cd "$(dirname "$0")"

if [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null; then
    exit 0
fi

# policy-rc.d is how Debian asks an administrator whether a new package may start its services.
./as_root.sh RabbitMQ rabbitmq-server <<'END'
policy=/usr/sbin/policy-rc.d
restore() {
    rm -f $policy
    if [ -e $policy.saved ]; then mv $policy.saved $policy; fi
}
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
if [ -e $policy ]; then mv $policy $policy.saved; fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >$policy
chmod 755 $policy
apt-get install -qq --no-install-recommends rabbitmq-server >/dev/null
for service in rabbitmq-server.service epmd.service epmd.socket; do
    if command -v systemctl >/dev/null; then systemctl --quiet disable $service || true; fi
done
END
