#!/usr/bin/env python3
"""Converts with a Slurm job array on a cluster of its own, on this machine, and compares with one process.

  tests/scaling/slurm_test.py --remap build/release/remap [--work FOLDER] [--nodes 3] [--shards 6] [CHECKPOINT]

Starts munged, slurmctld and one slurmd a node on the loopback interface, with configuration, keys and state in a temporary folder, runs
`remap CHECKPOINT -o OUT --shard K/N` as tasks of an array, kills some of them in the middle (Slurm requeues them), runs `remap finish OUT`
and compares every byte with what one process writes. Everything is stopped and removed at the end. Needs root and Debian's slurm-wlm and
munge. Exit 77: these are not there.
"""
import argparse
import filecmp
import os
import pathlib
import random
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
