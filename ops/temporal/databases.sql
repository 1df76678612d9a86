-- One role and its databases each for the service and for Temporal: neither can connect to the other's.

\getenv ordersaga_password ORDERSAGA_DB_PASSWORD
\getenv temporal_password TEMPORAL_DB_PASSWORD

-- Otherwise the server may log the passwords below.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

SELECT format('CREATE ROLE %I', name) FROM (VALUES ('ordersaga'), ('temporal')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', name, password)
FROM (VALUES ('ordersaga', :'ordersaga_password'), ('temporal', :'temporal_password')) AS wanted (name, password) \gexec

SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES ('ordersaga', 'ordersaga'), ('temporal', 'temporal'), ('temporal_visibility', 'temporal'))
  AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

REVOKE CONNECT, TEMPORARY ON DATABASE ordersaga, temporal, temporal_visibility FROM PUBLIC;
