#!/usr/bin/env bash
# Ends what up.sh DIR began, and returns when it is gone. Jobs come first: slurmd stays until their processes have ended.
dir=$1
left=0
export SLURM_CONF="$dir/slurm.conf"

wait_for() { # at most a minute, until the command fails
  for _ in $(seq 600); do
    "$@" || return 0
    sleep 0.1
  done
  return 1
}
jobs_left() { [ -n "$(squeue -h -o %A)" ]; }
runs() { [ -r "/proc/$1/cmdline" ] && [ -n "$(tr -d '\0' < "/proc/$1/cmdline")" ]; } # a zombie has no command line

if [ -f "$dir/slurmctld.pid" ] && scontrol ping > /dev/null 2>&1; then
  squeue -h -o %A | sort -u | xargs -r scancel
  if ! wait_for jobs_left; then
    echo "some jobs do not end; see $dir/log" >&2
    left=1
  fi
fi
for name in slurmd slurmctld munged; do
  [ -f "$dir/$name.pid" ] || continue
  pid=$(cat "$dir/$name.pid")
  kill "$pid" 2> /dev/null
  wait_for runs "$pid" || kill -9 "$pid"
  rm -f "$dir/$name.pid"
done
exit $left
