#!/bin/sh
# One node of the cluster, by its name; the others are found by theirs. The password is in no file.
set -eu
routes=""
for peer in nats-1 nats-2 nats-3; do
  routes="$routes,nats://node:$NATS_CLUSTER_PASSWORD@$peer:6222"
done
exec nats-server -c /ops/nats.conf -n "$1" -p 4222 -m 8222 -sd /data --cluster_name ordersaga \
  --cluster "nats://node:$NATS_CLUSTER_PASSWORD@0.0.0.0:6222" --routes "${routes#,}"
