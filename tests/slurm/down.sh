#!/usr/bin/env bash
# Ends what up.sh DIR began.
for file in "$1/slurmd.pid" "$1/slurmctld.pid" /run/munge/munged.pid; do
  if [ -f "$file" ]; then kill "$(cat "$file")"; fi
done
