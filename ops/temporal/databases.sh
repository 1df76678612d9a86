#!/bin/sh
# Makes the roles and databases of the service and of Temporal, and sets their passwords to those of the
# environment. Safe to run again: a password that was changed in .env is changed in PostgreSQL.
set -eu
folder=$(dirname "$0")
. "$folder/retry.sh"

for password in "${ORDERSAGA_DB_PASSWORD:?}" "${TEMPORAL_DB_PASSWORD:?}" "${ORDERSAGA_DB_API_PASSWORD:?}" \
  "${ORDERSAGA_DB_WORKER_PASSWORD:?}" "${ORDERSAGA_DB_RELAY_PASSWORD:?}" "${ORDERSAGA_DB_REPORTING_PASSWORD:=}"; do
  case $password in
    # The service gets its password inside a URL, where these would need to be escaped.
    *[!A-Za-z0-9._~-]*)
      echo "a database password may have letters, digits and . _ ~ - only" >&2
      exit 1
      ;;
  esac
done

export ORDERSAGA_DB_REPORTING_PASSWORD
try psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file="$folder/databases.sql"
echo "databases ordersaga, temporal and temporal_visibility are there"
