#!/bin/sh
# Root gives the data to the user rabbitmq and goes on as that user.
set -eu
if [ "$(id -u)" = 0 ]; then
    case $1 in
        rabbitmq-server) chown -R rabbitmq /var/lib/rabbitmq; exec gosu rabbitmq "$@" ;;
        rabbitmq*) exec gosu rabbitmq "$@" ;;
    esac
fi
exec "$@"
