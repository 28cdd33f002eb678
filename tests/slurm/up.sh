#!/usr/bin/env bash
# A real Slurm of one node on this machine, without systemd. Needs root and the packages slurm-wlm and munge.
#   up.sh DIR     leaves DIR/slurm.conf; export SLURM_CONF to it, and put this folder's sacct on PATH
set -euo pipefail
dir=$1
here=$(hostname -s)
cpus=$(nproc --all)
[ "$cpus" -ge 2 ] || cpus=2 # as many as a job has tasks, whatever the machine has
mkdir -p "$dir"/{state,spool,log}
cat > "$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$here(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,defer_batch
ReturnToService=2
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
InactiveLimit=0
KillWait=10
MinJobAge=300
NodeName=$here NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$(slurmd -C | sed -n 's/.*RealMemory=\([0-9]*\).*/\1/p') State=UNKNOWN
PartitionName=main Nodes=$here Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
CONF
install -d -o munge -g munge -m 755 /run/munge
if [ ! -f /etc/munge/munge.key ]; then
  dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=1 status=none
  chown munge:munge /etc/munge/munge.key
  chmod 400 /etc/munge/munge.key
fi
if ! munge -n > /dev/null 2>&1; then # none runs yet
  setpriv --reuid=munge --regid=munge --init-groups munged
  cp /run/munge/munged.pid "$dir/munged.pid"
fi
munge -n | unmunge > /dev/null
export SLURM_CONF="$dir/slurm.conf"
slurmctld
slurmd -N "$here"
for _ in $(seq 300); do
  if sinfo -h -o %T 2> /dev/null | grep -q idle; then exit 0; fi
  sleep 0.1
done
echo "the node does not come up; see $dir/log" >&2
exit 1
