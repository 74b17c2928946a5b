#!/usr/bin/env python3
"""Converts with a Slurm job array on a cluster of its own, on this machine, and compares with one process.

  tests/scaling/slurm_test.py --remap build/release/remap --shim build/release/tests/libfault_shim.so [--kills 4] [--nodes 3] [--shards 6] [CHECKPOINT]

Starts munged, slurmctld and one slurmd a node on the loopback interface, with configuration, keys and state in a temporary folder, runs
`remap CHECKPOINT -o OUT --shard K/N` as tasks of an array, kills some of them in the middle of their output (tests/faults/fault_shim.cpp holds
them there) and requeues them, runs `remap finish OUT` and compares every byte with what one process writes. Everything is stopped and removed at the end. Needs root and Debian's slurm-wlm and
munge. Exit 77: these are not there.
"""
import argparse
import filecmp
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/builtin
SelectType=select/linear
ReturnToService=2
JobRequeue=1
MinJobAge=3600
{nodes}
PartitionName=all Nodes=node[1-{n}] Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(n):
    """Ports that nobody uses now."""
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    def __init__(self, folder, n_nodes):
        self.folder, self.processes = folder, []
        host = socket.gethostname().split(".")[0]
        ports = free_ports(n_nodes + 1)
        nodes = "\n".join(f"NodeName=node{i + 1} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[i + 1]} CPUs=1 State=UNKNOWN" for i in range(n_nodes))
        (folder / "state").mkdir()
        (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, port=ports[0], folder=folder, nodes=nodes, n=n_nodes))
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "SLURM_TIME_FORMAT": "%s"}
        self.start("munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
                   f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed")
        wait_for(lambda: (folder / "munge.socket").exists(), "munged")
        self.start("slurmctld", "-D", "-i")
        for i in range(n_nodes):
            self.start("slurmd", "-D", "-N", f"node{i + 1}")
        wait_for(lambda: self.run("sinfo", "-h", "-o", "%T %D").split() == ["idle", str(n_nodes)], "the nodes")

    def start(self, *command):
        log = open(self.folder / f"{command[0]}.out", "ab")
        self.processes.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log))

    def run(self, *command):
        return subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come up in {seconds} s")
        time.sleep(0.2)


def run_array(cluster, options, checkpoint, output):
    """The shards as tasks of an array. The first ones stall in their first try, are killed there, and Slurm starts them again. Returns how many were."""
    script = cluster.folder / "convert.sh"
    script.write_text("#!/bin/sh\n"
                      f'[ -n "$SLURM_RESTART_COUNT" ] || [ $SLURM_ARRAY_TASK_ID -gt {options.kills} ] || export LD_PRELOAD={options.shim} REMAP_FAULT=pwrite:stall:1\n'
                      f"exec {options.remap} {checkpoint} -o {output} --max-shard-size {options.shard_size} --shard $SLURM_ARRAY_TASK_ID/{options.shards} --threads 1\n")
    log = cluster.folder / "task-%a.log"
    said = cluster.run("sbatch", "--parsable", "--requeue", "--open-mode=append", f"--array=1-{options.shards}", "-o", str(log), str(script))
    job = said.split(";")[0].strip()
    if not job.isdigit():
        sys.exit(f"sbatch: {said}")
    killed = set()
    end = time.monotonic() + 600
    while True:
        states = dict(line.split() for line in cluster.run("squeue", "-h", "-r", "-j", job, "-o", "%K %T").splitlines() if len(line.split()) == 2)
        if not states:
            return len(killed)
        for task in sorted(task for task, state in states.items() if state == "RUNNING" and int(task) <= options.kills and task not in killed):
            # As a node that fails: the process is gone without a chance to clean up, its output half-written.
            if not list(output.parent.glob(f"{output.name}.parts/.part-{task}-of-{options.shards}.partial-*")):
                continue
            subprocess.run(["pkill", "-KILL", "-f", f"{output} .*--shard {task}/"], check=False)
            cluster.run("scontrol", "requeue", f"{job}_{task}")
            killed.add(task)
        if time.monotonic() > end:
            sys.exit(cluster.run("squeue"))
        time.sleep(0.1)


def same(a, b):
    """Names and bytes of two folders."""
    names = sorted(os.listdir(a))
    return names == sorted(os.listdir(b)) and not any(filecmp.cmpfiles(a, b, names, shallow=False)[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remap", required=True)
    parser.add_argument("--shim", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--shards", type=int, default=6)
    parser.add_argument("--shard-size", default="20kB")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--work", help="where the outputs go (default: the temporary folder)")
    parser.add_argument("checkpoint", nargs="?", default=str(ROOT / "tests/data/switch/source/checkpoint_1200"))
    options = parser.parse_args()
    options.remap = str(pathlib.Path(options.remap).resolve())
    checkpoint = pathlib.Path(options.checkpoint).resolve()
    if os.geteuid() != 0 or not all(shutil.which(program) for program in ("munged", "slurmctld", "slurmd", "sbatch")):
        print("slurm: not root, or no slurm-wlm and munge here; not tested")
        return 77
    with tempfile.TemporaryDirectory(prefix="remap-slurm-", dir=options.work) as name:
        folder = pathlib.Path(name)
        alone, output = folder / "alone", folder / "out"
        subprocess.run([options.remap, "-q", str(checkpoint), "-o", str(alone), "--max-shard-size", options.shard_size], check=True)
        cluster = Cluster(folder, options.nodes)
        try:
            killed = run_array(cluster, options, checkpoint, output)
            finished = subprocess.run([options.remap, "finish", str(output)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        finally:
            cluster.stop()
        logs = "".join(log.read_text() for log in sorted(folder.glob("task-*.log")))
        if finished.returncode != 0 or killed != options.kills or not same(alone, output):
            print(f"{killed} of {options.kills} killed\n" + logs + finished.stdout)
            return 1
        print(f"{options.shards} tasks on {options.nodes} nodes, {killed} killed and requeued: the same bytes as one process")
        return 0


if __name__ == "__main__":
    sys.exit(main())
