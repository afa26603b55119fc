#!/bin/sh
# Runs once, on an empty cluster, as its superuser: the logins and databases of Perdure and of Temporal.
# The roles of the schema (app_*) belong to the migrations, which perdure_owner runs.
set -eu
: "${PERDURE_OWNER_PASSWORD:?}" "${PERDURE_APP_PASSWORD:?}" "${TEMPORAL_PASSWORD:?}"

psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner_password PERDURE_OWNER_PASSWORD
\getenv app_password PERDURE_APP_PASSWORD
\getenv temporal_password TEMPORAL_PASSWORD

-- Runs migrations: creates the schema's roles, and may then become and grant them.
CREATE ROLE perdure_owner LOGIN CREATEROLE NOSUPERUSER NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE perdure_owner SET createrole_self_grant = 'set, inherit';
-- The running product: without an explicit role of a transaction it may do nothing.
CREATE ROLE perdure_app LOGIN NOINHERIT NOCREATEROLE NOSUPERUSER NOBYPASSRLS PASSWORD :'app_password';
CREATE ROLE temporal LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD :'temporal_password';

CREATE DATABASE perdure OWNER perdure_owner TEMPLATE template0;
CREATE DATABASE temporal OWNER temporal TEMPLATE template0;
CREATE DATABASE temporal_visibility OWNER temporal TEMPLATE template0;
REVOKE ALL ON DATABASE perdure, temporal, temporal_visibility FROM PUBLIC;
GRANT CONNECT ON DATABASE perdure TO perdure_app;
SQL
