#!/bin/sh
# Makes the namespace, or sets its retention where it is there already. The CLI reads TEMPORAL_ADDRESS and TLS
# settings from the environment.
set -eu
. "$(dirname "$0")/retry.sh"
: "${TEMPORAL_NAMESPACE:?}" "${NAMESPACE_RETENTION:?}"

# A server that does not answer at all must count as a failed attempt, not hang the container.
operator() {
  temporal operator --command-timeout 10s "$@"
}

# The first fails where there is no such namespace, or where two of these run at once; then the next attempt finds it.
there_with_retention() {
  operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$NAMESPACE_RETENTION" ||
    operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$NAMESPACE_RETENTION"
}

try operator cluster health
try there_with_retention
echo "namespace $TEMPORAL_NAMESPACE is there and keeps closed orders for $NAMESPACE_RETENTION"
