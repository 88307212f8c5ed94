#!/usr/bin/env bash
# Write the alerts of deploy/prometheus for the Prometheus Operator: the same groups in a resource.
set -euo pipefail
cd "$(dirname "$0")/../deploy"

cat >kubernetes/monitoring/rules.yaml <<'END'
# The groups of deploy/prometheus/alerts.yml, written by scripts/make_alert_rules.sh.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: fer-worker
spec:
END
awk '/^groups:/ {found = 1} found {print ($0 == "" ? "" : "  " $0)}' prometheus/alerts.yml \
    >>kubernetes/monitoring/rules.yaml
