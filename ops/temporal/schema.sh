#!/bin/sh
# Brings Temporal's two schemas to the version of this image. Safe to run again: what is there is left alone.
# The tool reads SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD and SQL_PLUGIN.
set -eu
. "$(dirname "$0")/retry.sh"

schemas=/etc/temporal/schema/postgresql/v12

bring_up_to_date() {
  try temporal-sql-tool --database "$1" setup-schema --version 0.0
  try temporal-sql-tool --database "$1" update-schema --schema-dir "$schemas/$2/versioned"
  echo "the schema of $1 is up to date"
}

bring_up_to_date temporal temporal
bring_up_to_date temporal_visibility visibility
