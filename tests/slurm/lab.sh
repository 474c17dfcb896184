#!/usr/bin/env bash
# A real SLURM on one machine, for tests: tests/slurm/lab.sh install | up | down.
#
# Two virtual nodes of 8 CPUs, two fake GPUs on node1, partitions cpu and gpu. As root, with Debian's or Ubuntu's
# packages; no systemd, no cgroups. With accounting, as clusters have it: when the controller does not answer,
# Snakemake's plugin asks the accounting.
#
# The configuration lies in /etc/slurm, because Snakemake's plugin takes SLURM_CONF and the like away from jobs.
# A configuration that this script has not written is left alone. All else is in $LAB, which `down` removes.
set -euo pipefail

ETC=/etc/slurm
LAB=/var/lib/layerscope-slurm-lab
MARK="# written by layerscope's tests/slurm/lab.sh"
HOST=$(hostname -s)

fail() { echo "error: $*" >&2; exit 1; }

wait_for() {
    local until=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || fail "waited 30 s for: $*"
        sleep 0.1
    done
}

both_idle() { [ "$(sinfo --noheader --Node --partition=cpu --states=idle --format=%N | wc -l)" = 2 ]; }

stopped() {  # a daemon that was stopped stays a zombie until PID 1 reaps it
    case "$(ps -o stat= -p "$1" || true)" in '' | Z*) return 0 ;; *) return 1 ;; esac
}

running() {  # process ids of the lab's daemons, in the order in which to stop them
    local file pid
    for file in slurmctld slurmd.node1 slurmd.node2 slurmdbd mariadbd munged; do
        pid=$(cat "$LAB/run/$file.pid" 2>/dev/null) || continue
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "${file%%.*}" ] && ! stopped "$pid" && echo "$pid"
    done
    return 0
}

refuse_foreign() {
    local file
    for file in slurm.conf gres.conf slurmdbd.conf; do
        [ ! -e "$ETC/$file" ] || [ "$(head -n 1 "$ETC/$file")" = "$MARK" ] ||
            fail "$ETC/$file is not the lab's: this machine has a SLURM of its own"
    done
}

install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client slurmdbd mariadb-server munge >/dev/null
}

up() {
    refuse_foreign
    [ -z "$(running)" ] || fail "the lab is up already"
    umask 022
    rm -rf "$LAB"
    mkdir -p "$LAB"/{run,log,state,spool/node1,spool/node2,munge,dev} "$ETC"
    (umask 077; head -c 1024 /dev/urandom >"$LAB/munge/munge.key")
    munged --key-file="$LAB/munge/munge.key" --socket="$LAB/munge/socket" --pid-file="$LAB/run/munged.pid" \
        --log-file="$LAB/log/munged.log" --seed-file="$LAB/munge/seed"
    mknod -m 666 "$LAB/dev/nvidia0" c 1 3 # /dev/null by another name
    mknod -m 666 "$LAB/dev/nvidia1" c 1 3
    cat >"$ETC/gres.conf" <<END
$MARK
NodeName=node1 Name=gpu Type=a100 File=$LAB/dev/nvidia[0-1]
END
    cat >"$LAB/task_prolog" <<END
#!/bin/sh
echo "\$SLURM_JOB_ID \$SLURMD_NODENAME \${CUDA_VISIBLE_DEVICES:--}" >>$LAB/log/tasks
END
    chmod 755 "$LAB/task_prolog"
    # `cred_expire` is also how long a job waits that SLURM starts again: two minutes otherwise.
    cat >"$ETC/slurm.conf" <<END
$MARK
ClusterName=lab
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=16817
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$LAB/munge/socket,cred_expire=10
CredType=cred/munge
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/spool/%n
SlurmctldPidFile=$LAB/run/slurmctld.pid
SlurmdPidFile=$LAB/run/slurmd.%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd.%n.log
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoragePass=$LAB/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$LAB/task_prolog
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=1
MinJobAge=3600
KillWait=3
SlurmctldTimeout=30
SlurmdTimeout=15
GresTypes=gpu
NodeName=node1 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=17001 CPUs=8 RealMemory=64000 Gres=gpu:a100:2 State=UNKNOWN
NodeName=node2 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=17002 CPUs=8 RealMemory=64000 State=UNKNOWN
PartitionName=cpu Nodes=node1,node2 Default=YES MaxTime=2-0 State=UP
PartitionName=gpu Nodes=node1 MaxTime=2-0 State=UP
END
    accounting
    slurmctld
    slurmd -N node1
    slurmd -N node2
    wait_for both_idle
}

accounting() {  # a database on loopback, and one account, for root
    local client=(--no-defaults --user=root --socket="$LAB/run/mysql.sock")
    mariadb-install-db --no-defaults --user=root --datadir="$LAB/mysql" --auth-root-authentication-method=normal \
        --skip-test-db >"$LAB/log/mariadb-install.log" 2>&1
    mariadbd --no-defaults --user=root --datadir="$LAB/mysql" --socket="$LAB/run/mysql.sock" \
        --pid-file="$LAB/run/mariadbd.pid" --bind-address=127.0.0.1 --port=13306 --skip-name-resolve \
        --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 --log-error="$LAB/log/mariadb.log" \
        </dev/null >/dev/null 2>&1 &
    wait_for mariadb-admin "${client[@]}" ping
    mariadb "${client[@]}" --execute="CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
        GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1'"
    (umask 077; cat >"$ETC/slurmdbd.conf") <<END
$MARK
AuthType=auth/munge
AuthInfo=socket=$LAB/munge/socket
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=16819
CommunicationParameters=NoInAddrAny
SlurmUser=root
LogFile=$LAB/log/slurmdbd.log
PidFile=$LAB/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=13306
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
END
    slurmdbd
    wait_for sacctmgr --noheader list cluster
    sacctmgr --quiet --immediate add cluster lab >/dev/null
    sacctmgr --quiet --immediate add account mylab Cluster=lab >/dev/null
    sacctmgr --quiet --immediate add user root Account=mylab >/dev/null || true  # root is there: made an administrator
    sacctmgr --quiet --immediate modify user root set DefaultAccount=mylab >/dev/null
}

down() {
    local pid
    refuse_foreign
    [ ! -e "$ETC/slurm.conf" ] || timeout 10 scancel --user=root --signal=KILL --full >/dev/null 2>&1 || true
    for pid in $(running); do
        kill "$pid"
        wait_for stopped "$pid"
    done
    for pid in $(pgrep --full "^slurmstepd: \[" || true); do
        kill -KILL "$pid"
    done
    rm -f "$ETC/slurm.conf" "$ETC/gres.conf" "$ETC/slurmdbd.conf"
    rm -rf "$LAB"
}

unset SLURM_CONF
case "${1:-}" in
    install | up | down) "$1" ;;
    *) fail "tests/slurm/lab.sh install | up | down" ;;
esac
