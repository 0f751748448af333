#!/bin/sh
# The input topic of the fault tests and the run over it that nobody disturbs; tests/run.sh makes both before the first of them.
. "$(dirname "$0")/lib.sh"
events "$TMP/events.jsonl" 12000
load faults_input "$TMP/events.jsonl"
undisturbed "$REFERENCE" "$FAULTS/reference.dump"
