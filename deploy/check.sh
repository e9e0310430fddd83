#!/usr/bin/env bash
# Checks what lies in deploy/ and the compose file.
#   deploy/check.sh            all checks
#   deploy/check.sh metrics    the series named in alerts and dashboard, one a line
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

alerts=deploy/prometheus/alerts.yml
dashboard=deploy/grafana/dashboards/snapshotd.json
compose_go=github.com/compose-spec/compose-go/v2/cmd@v2.16.1

if [[ ${1-} == metrics ]]; then
  grep -hoE '\bsnapshotd_[a-z_]+' "$alerts" "$dashboard" | sort -u
  exit
fi

fail() { echo "check.sh: $*" >&2; exit 1; }

need() { # command, Debian package
  if command -v "$1" >/dev/null; then return; fi
  if [[ $EUID != 0 ]] || ! command -v apt-get >/dev/null; then fail "$1 is missing (Debian: $2)"; fi
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"; } >/dev/null ||
    fail "$1 is missing, and $2 cannot be installed"
}
need promtool prometheus
need jq jq

echo "== Prometheus"
promtool check config --syntax-only deploy/prometheus/prometheus.yml # the token is not there before somebody makes it
promtool check rules "$alerts"
promtool test rules deploy/prometheus/alerts_test.yml

echo "== alerts and runbook"
names=$(sed -n 's/^ *- alert: //p' "$alerts")
for a in $names; do
  rule=$(sed -n "/- alert: $a\$/,/^\$/p" "$alerts")
  for key in severity summary description; do
    grep -q "$key: " <<<"$rule" || fail "$a has no $key"
  done
  grep -qx " *runbook_url: deploy/RUNBOOK.md#${a,,}" <<<"$rule" || fail "$a: its runbook_url is not deploy/RUNBOOK.md#${a,,}"
  grep -qx "## $a" deploy/RUNBOOK.md || fail "$a has no section in RUNBOOK.md"
  grep -q "alertname=\"$a\"" deploy/prometheus/alerts_test.yml || fail "no test lets $a fire"
done
diff <(sort <<<"$names") <(sed -n 's/^## //p' deploy/RUNBOOK.md | sort) || fail "RUNBOOK.md has sections without an alert"
echo "$(wc -w <<<"$names") alerts, each with severity, summary, description, runbook section and test"

echo "== dashboard"
problems=$(jq -r '
  .panels as $p
  | ($p | group_by(.id)[] | select(length > 1) | "panel id \(.[0].id) is used twice"),
    ($p[] | select(.gridPos | .x < 0 or .x + .w > 24) | "panel \(.id) is wider than the grid"),
    ($p | combinations(2) | select(.[0].id < .[1].id) | map(.gridPos) as [$a, $b]
      | select($a.x < $b.x + $b.w and $b.x < $a.x + $a.w and $a.y < $b.y + $b.h and $b.y < $a.y + $a.h)
      | "panels at \($a) and \($b) overlap"),
    ($p[] | select(.type != "row")
      | select(.datasource.uid != "${datasource}" or (.targets | length) == 0) | "panel \(.id) has no targets, or not ${datasource}")
' "$dashboard") || fail "$dashboard is not a dashboard"
[[ -z $problems ]] || fail "$problems"
rules=$(mktemp)
trap 'rm -f "$rules"' EXIT
jq '[.panels[].targets[]?.expr, .annotations.list[].expr]
  | map(gsub("\\$__rate_interval"; "5m") | gsub("\\$instance"; ".*"))
  | {groups: [{name: "dashboard", rules: [to_entries[] | {record: "expr:\(.key)", expr: .value}]}]}' "$dashboard" >"$rules"
promtool check rules "$rules" | grep -v '^Checking'

echo "== docker-compose.yml"
if docker compose version >/dev/null 2>&1; then
  docker compose config --quiet
else
  command -v go >/dev/null || fail "neither docker's compose plugin nor go is here"
  go run "$compose_go" docker-compose.yml >/dev/null
fi
echo "  SUCCESS"

if command -v systemd-analyze >/dev/null; then
  echo "== systemd"
  unit=$(mktemp -d)
  trap 'rm -rf "$rules" "$unit"' EXIT
  sed 's#^ExecStart=.*#ExecStart=/bin/true#' deploy/systemd/snapshotd.service >"$unit/snapshotd.service"
  said=$(systemd-analyze verify "$unit/snapshotd.service" 2>&1 | grep -F snapshotd.service) || true # it exits 0 on unknown keys
  [[ -z $said ]] || fail "$said"
  systemd-analyze security --offline=true --threshold=20 "$unit/snapshotd.service" | tail -1
fi
