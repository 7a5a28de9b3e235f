#!/bin/sh
# Handle one event: JSON on standard input; TITAN_EVENT_ID, TITAN_EVENT_TYPE and TITAN_EXECUTION_ID in the environment.
# Exit code 0 says that it is handled; any other has it tried again, with the same id: so it is done under that id.
set -eu

place=${EVENTS_DIR:-events}
name=$(printf %s "$TITAN_EVENT_ID" | tr -c 'A-Za-z0-9._-' _)
mkdir -p "$place"
cat >"$place/.$name.part"
mv "$place/.$name.part" "$place/$name.json" # whole or not there, and the same file again if it is repeated
echo "$TITAN_EVENT_TYPE $TITAN_EXECUTION_ID: $name.json"
