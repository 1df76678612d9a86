-- One owner and its databases each for the service and for Temporal: neither can connect to the other's. Each process
-- of the service logs in as itself; what its group role may do is granted by the service's migrations.

\getenv ordersaga_password ORDERSAGA_DB_PASSWORD
\getenv temporal_password TEMPORAL_DB_PASSWORD
\getenv api_password ORDERSAGA_DB_API_PASSWORD
\getenv worker_password ORDERSAGA_DB_WORKER_PASSWORD
\getenv relay_password ORDERSAGA_DB_RELAY_PASSWORD
\getenv reporting_password ORDERSAGA_DB_REPORTING_PASSWORD

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

CREATE TEMPORARY TABLE process AS
SELECT format('ordersaga_%s', name) AS role, format('ordersaga_%s_1', name) AS login, password
FROM (VALUES ('api', :'api_password'), ('worker', :'worker_password'), ('relay', :'relay_password'),
             ('reporting', :'reporting_password')) AS wanted (name, password);

SELECT format('CREATE ROLE %I NOLOGIN', role) FROM process
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

SELECT format('CREATE ROLE %I IN ROLE %I', login, role) FROM process
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) \gexec

-- Without a password nobody logs in.
SELECT format('ALTER ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', login,
              CASE WHEN password = '' THEN 'NOLOGIN' ELSE 'LOGIN' END, nullif(password, ''))
FROM process \gexec

SELECT format('GRANT CONNECT ON DATABASE ordersaga TO %I', role) FROM process \gexec
