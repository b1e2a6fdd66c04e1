#!/bin/sh
# Run a command on a Slurm cluster of one node, this machine: sh tests/cluster/one-node-slurm.sh COMMAND...
#
# As root, on Debian. The cluster is real (munge, slurmctld, slurmd) but temporary: packages, users and configuration go
# into layers over /usr, /etc and /var that only this command sees, the daemons run in separate network and process
# namespaces, and everything ends with the command. The node has two processors and two simulated GPUs (files: sufficient
# for Slurm to allocate them and to set CUDA_VISIBLE_DEVICES).
#
# $SLURM_RECORDS contains Slurm's records: jobs, a line for each finished job, and tasks, a line for each process that
# Slurm started, with its GPUs.
set -eu

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

# Waits for a command to succeed, 30 seconds at most.
wait_for() {
    deadline=$(($(date +%s) + 30))
    while [ "$(date +%s)" -lt "$deadline" ]; do
        if timeout 5 "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    tail -n 20 /var/log/slurm/*.log >&2 || true
    fail "Slurm did not start: '$*' did not succeed within 30 seconds. The ends of its logs are above."
}

# Put layers over the system's folders and install Slurm into them.
layered() {
    mount -t tmpfs tmpfs "$SLURM_FOLDER"
    for folder in etc usr var; do
        mkdir "$SLURM_FOLDER/$folder" "$SLURM_FOLDER/$folder.work"
        layers="lowerdir=/$folder,upperdir=$SLURM_FOLDER/$folder,workdir=$SLURM_FOLDER/$folder.work"
        mount -t overlay overlay -o "$layers" "/$folder" || fail "this kernel cannot mount an overlay on /$folder."
    done

    # a copy of the package database, which may change meanwhile
    cp -a /var/lib/dpkg "$SLURM_FOLDER/dpkg"
    mount --bind "$SLURM_FOLDER/dpkg" /var/lib/dpkg

    if ! command -v slurmctld slurmd sbatch munged >/dev/null; then
        echo "Installing slurm-wlm and munge, for this command only ..."
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d # packages start no daemons
        chmod +x /usr/sbin/policy-rc.d
        rm -f /var/lib/man-db/auto-update # no manual pages
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update && apt-get install --yes --no-install-recommends slurm-wlm munge; } \
            >"$SLURM_FOLDER/apt.log" 2>&1 || {
            tail -n 15 "$SLURM_FOLDER/apt.log" >&2
            fail "Debian's slurm-wlm and munge could not be installed (the end of apt-get's output is above)."
        }
    fi
    exec unshare --net --uts --ipc --pid --fork --kill-child --mount-proc sh "$0" --on-the-node "$@"
}

# Start the daemons, then the command.
on_the_node() {
    ip link set lo up
    ip address add 192.0.2.1/32 dev lo # daemons bind to no address if 127.0.0.1 is the only one
    hostname node
    echo '127.0.0.1 localhost node' >/etc/hosts
    mount -t tmpfs tmpfs /run

    records=$SLURM_FOLDER/records
    mkdir -p "$records" /run/munge /etc/slurm /var/log/slurm /var/lib/slurm/control /var/lib/slurm/node
    chown munge: /run/munge
    [ -s /etc/munge/munge.key ] || runuser -u munge -- mungekey --create --keyfile /etc/munge/munge.key
    for number in 0 1; do mknod "/run/gpu$number" c 1 3; done

    cat >/etc/slurm/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=node
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# jobs share the node by processors and memory; the node may claim more than this machine has
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=300
StateSaveLocation=/var/lib/slurm/control
SlurmdSpoolDir=/var/lib/slurm/node
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
JobCompType=jobcomp/filetxt
JobCompLoc=$records/jobs
TaskProlog=/etc/slurm/task-prolog
GresTypes=gpu
NodeName=node CPUs=2 RealMemory=32000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=INFINITE State=UP
CONF
    echo 'Name=gpu File=/run/gpu[0-1]' >/etc/slurm/gres.conf
    cat >/etc/slurm/task-prolog <<PROLOG
#!/bin/sh
echo "job=\$SLURM_JOB_ID step=\$SLURM_STEP_ID gpus=\${CUDA_VISIBLE_DEVICES:-}" >>$records/tasks
PROLOG
    chmod +x /etc/slurm/task-prolog

    runuser -u munge -- munged
    slurmctld
    slurmd -N node
    wait_for sh -c 'sinfo --noheader --format %T | grep -q idle'

    SLURM_RECORDS=$records "$@"
}

case ${1:-} in
    '') fail "name a command to run, such as: sh $0 sinfo" ;;
    --layered) shift && layered "$@" ;;
    --on-the-node) shift && on_the_node "$@" ;;
    *)
        [ "$(id -u)" = 0 ] || fail "the cluster needs root: it creates mounts, users and namespaces."
        SLURM_FOLDER=$(mktemp -d)
        export SLURM_FOLDER
        trap 'rmdir "$SLURM_FOLDER"' EXIT
        # end with this shell, even if it is killed
        setpriv --pdeathsig KILL unshare --mount sh "$0" --layered "$@"
        ;;
esac
