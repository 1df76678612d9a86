#!/bin/sh
# Registers the search attributes that orders carry, given as NAME=TYPE words. Safe to run again.
set -eu
. "$(dirname "$0")/retry.sh"
: "${TEMPORAL_NAMESPACE:?}" "${SEARCH_ATTRIBUTES:?}"

operator() {
  temporal operator --command-timeout 10s "$@"
}

listed() {
  operator search-attribute list --namespace "$TEMPORAL_NAMESPACE" | grep -Eq "^ *$1 +$2 *$"
}

# Temporal answers a registration before every one of its caches knows it, and a worker refuses to start without.
# The list is what the worker asks, so that this only ends when the list has it.
registered() {
  listed "$1" "$2" && return 0
  if ! answer=$(operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$1" --type "$2" 2>&1); then
    printf '%s\n' "$answer"
    case $answer in *"different type"*) return "$POINTLESS" ;; esac
    return 1
  fi
  listed "$1" "$2"
}

for attribute in $SEARCH_ATTRIBUTES; do
  try registered "${attribute%%=*}" "${attribute#*=}"
done
echo "namespace $TEMPORAL_NAMESPACE has the search attributes $SEARCH_ATTRIBUTES"
