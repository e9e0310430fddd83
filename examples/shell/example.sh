#!/bin/sh
# Save five steps of a saga, fail at the fifth, look back, and replay it with a corrected context.
#
#   SNAPSHOTD_URL=http://127.0.0.1:7420 ./example.sh
#
# The ids and times are fixed: run it twice, and the second run changes nothing.
set -eu

base=${SNAPSHOTD_URL:-http://127.0.0.1:7420}
token=${SNAPSHOTD_TOKEN:-} # where one is asked for
saga=8a6e0804-2bd0-4672-b79d-d97027f9071a
replay=c2b1f1a4-5e0c-4b7e-9a53-6d1f0c2e7b90
serial=12345678901234567890123
context='{"order":"A-17","serial":'$serial',"email":"ada@example,org"}'

answer=$(mktemp) headers=$(mktemp)
trap 'rm -f "$answer" "$headers"' EXIT
[ -z "$token" ] || printf 'Authorization: Bearer %s\n' "$token" >"$headers"

# curl repeats a request that got a 429 or a 503, after the time that Retry-After says, or no connection. Each one here may be
# repeated. The answer goes to a file, which a repetition begins anew.
call() {
  : >"$answer"
  # A file keeps the token out of the list of processes.
  curl -sS --fail-with-body --max-time 30 --retry 4 --retry-connrefused --output "$answer" --header "@$headers" "$@" ||
    { cat "$answer" >&2; exit 1; }
  cat "$answer"
}

check() { # what, got, want
  [ "$2" = "$3" ] || { echo "$1: got $2, want $3" >&2; exit 1; }
}

index=0
finished=
for step in validate_order reserve_inventory charge_payment book_courier notify_customer; do
  status=executing
  [ $step != notify_customer ] || status=failed
  call -X PUT "$base/v1/snapshots/00000000-0000-4000-8000-00000000000$index" --json '{
    "saga_id": "'$saga'",
    "saga_name": "order_processing",
    "step_name": "'$step'",
    "step_index": '$index',
    "status": "'$status'",
    "context": '"$context"',
    "completed_steps": ['"$finished"'],
    "created_at": "2026-01-05T10:0'$index':00Z"
  }' >/dev/null
  echo "saved $step: $status"
  finished="$finished${finished:+, }\"$step\""
  index=$((index + 1))
done

list=$(call "$base/v1/sagas/$saga/snapshots?view=summary&pretty")
count=$(printf '%s\n' "$list" | grep -c '"snapshot_id"')
check 'the list' "$count" 5
echo "listed $count snapshots"

latest=$base/v1/sagas/$saga/snapshots/latest
at='at=2026-01-05T10:02:30Z'
step=$(call "$latest?$at&pointer=/step_name")
kept=$(call "$latest?$at&pointer=/context/serial")
check 'the step at 10:02:30' "$step" '"charge_payment"'
check 'the serial at 10:02:30' "$kept" $serial
echo "at 10:02:30 it was at $step, serial $kept"

prepared=$(call "$base/v1/sagas/$saga/replays" --json '{
  "replay_id": "'$replay'",
  "checkpoint_step": "notify_customer",
  "context_override": {"email": "ada@example.org"}
}')
resume=$(printf '%s\n' "$prepared" | sed 's/.*"resume"://')
corrected=$(printf '%s\n' "$resume" | sed 's/.*"context":\({[^}]*}\).*/\1/')
check 'the corrected context' "$corrected" '{"order":"A-17","serial":'$serial',"email":"ada@example.org"}'
echo "replaying notify_customer with $corrected"

# Here the runtime runs what is left of the saga, under the saga_id in $resume.

call -X PATCH --json '{"replay_status": "success"}' "$base/v1/replays/$replay" >/dev/null
state=$(call "$base/v1/replays/$replay?pretty" | sed -n 's/.*"replay_status": "\(.*\)".*/\1/p')
check 'the replay' "$state" success
echo "replay $replay: $state"
