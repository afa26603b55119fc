#!/bin/sh
# Registers the namespace with its retention and search attributes; repeatable. TEMPORAL_ADDRESS,
# TEMPORAL_NAMESPACE and RETENTION come from the environment.
set -eu

operator() { temporal operator "$@" --address "$TEMPORAL_ADDRESS"; }

# A namespace that was just made takes some seconds until every part of the server knows it.
until_it_works() {
  for _ in $(seq 60); do
    "$@" && return 0
    sleep 1
  done
  echo "gave up: $*" >&2
  return 1
}

until_it_works operator cluster health

if operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
else
  operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi

known() { operator search-attribute list --namespace "$TEMPORAL_NAMESPACE"; }
until_it_works known >/dev/null

# one at a time: of several in one request, server 1.32 keeps one
for name in OrganizationId WorkflowDefinition ExecutionKind TriggerType; do
  known | grep -qw "$name" ||
    until_it_works operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --type Keyword --name "$name"
done
