"Slurm and Grid Engine as Debian has them, for a test: started on loopback, all their state in one temporary folder."

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

HOST = socket.gethostname()
SLOTS, GPUS, MEMORY = 8, 2, "64G"  # what the node says that it has, whatever it has: two tasks of the tutorial's scripts at once

# What is put back starts again after cred_expire seconds, two minutes unless it is said.
SLURM_CONF = """
ClusterName=avesound
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=20
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
SlurmctldPort={port}
SlurmdPort={next_port}
MailProg=/bin/true
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={slots} RealMemory=64000 Gres=gpu:{gpus}
PartitionName=main Nodes={host} Default=YES State=UP
"""

# The names are those of the tutorial's scripts. GPUs are counted for a job, memory for each slot.
COMPLEXES = """
gpus gpus INT <= YES JOB 0 0
gpu_c gpu_c DOUBLE <= YES NO 0 0
mem_per_core mem_per_core MEMORY <= YES YES 0 0
"""
PROJECT = "name yourproject\noticket 0\nfshare 0\nacl NONE\nxacl NONE\n"
PARALLEL = """
pe_name omp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""
NODE = f"""
hostname {HOST}
load_scaling NONE
complex_values slots={SLOTS},gpus={GPUS},gpu_c=8,mem_per_core={MEMORY}
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
# The shell is /bin/sh, as in most queues: scripts have to name theirs.
QUEUE = f"""
qname main.q
hostlist {HOST}
seq_no 0
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH INTERACTIVE
pe_list omp
rerun FALSE
slots {SLOTS}
tmpdir /tmp
shell /bin/sh
shell_start_mode posix_compliant
notify 00:00:60
initial_state default
"""
NONE = """load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method suspend_method resume_method terminate_method owner_list
user_lists xuser_lists subordinate_list complex_values projects xprojects calendar""".split()
LIMITS = "rt cpu fsize data stack core rss vmem".split()


class NotHere(Exception):
    "The scheduler is not installed, or does not start; the message says why."


def call(*words, limit_s: float = 30, **more) -> str:
    "What a command prints. It has a time limit: clients of a scheduler that is not there may wait for ever."
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=limit_s, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def end_of(pid_files: list[Path]) -> None:
    "End the daemons of those files, and wait for it."
    for path in pid_files:
        if not path.exists():
            continue
        pid = int(path.read_text())
        for sent in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + 5
            try:
                os.kill(pid, sent)
                while time.monotonic() < deadline:
                    os.kill(pid, 0)
                    time.sleep(0.1)
            except ProcessLookupError:
                break


class Scheduler:
    "What the tests ask of either."

    name: str
    suffix: str  # of the tutorial's scripts
    needs: tuple[str, ...]  # programs

    def __init__(self, root: Path):
        self.root = root
        missing = [program for program in self.needs if shutil.which(program) is None]
        if missing or os.geteuid():
            raise NotHere(f"{self.name}: " + (f"{', '.join(missing)} not installed" if missing else "its daemons are started by root"))
        try:
            self.start()
            self.wait_for_node()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            self.stop()
            raise NotHere(f"{self.name} does not start: {error}") from error

    def wait_until(self, what: Callable[[], object], otherwise: str, limit_s: float = 30) -> None:
        "Until it is so; a client that gets no answer says so by its exit code."
        deadline = time.monotonic() + limit_s
        while True:
            try:
                if what():
                    return
            except RuntimeError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"{otherwise} ({limit_s:g} s)")
            time.sleep(0.5)

    def wait_for_node(self) -> None:
        self.wait_until(self.is_ready, "its node is not ready")

    def wait(self, limit_s: float = 600) -> None:
        "Until the queue is empty."
        deadline = time.monotonic() + limit_s
        while jobs := self.queue():
            if time.monotonic() > deadline:
                raise TimeoutError(f"still in the queue after {limit_s:g} s:\n{jobs}")
            time.sleep(0.5)


class Slurm(Scheduler):
    name, suffix = "Slurm", "slurm"
    needs = ("munged", "slurmctld", "slurmd", "sbatch")

    def start(self):
        (self.root / "state").mkdir()
        (self.root / "munge.key").write_bytes(secrets.token_bytes(128))
        (self.root / "munge.key").chmod(0o400)
        port = free_port()
        conf = SLURM_CONF.format(host=HOST, root=self.root, port=port, next_port=free_port(), slots=SLOTS, gpus=GPUS)
        (self.root / "slurm.conf").write_text(conf)
        # Without a file Slurm 22.05 counts no GPU (gres/gpu count reported lower than configured); any device will do.
        (self.root / "gres.conf").write_text(f"Name=gpu File={self.root}/gpu[0-{GPUS - 1}]\n")
        for i in range(GPUS):
            os.mknod(self.root / f"gpu{i}", 0o20666, os.makedev(1, 3))
        os.environ["SLURM_CONF"] = str(self.root / "slurm.conf")
        of_munge = [f"--{kind}-file={self.root}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
        call("munged", "--force", f"--socket={self.root}/munge.socket", *of_munge)
        call("slurmctld", "-c")
        call("slurmd")

    def stop(self):
        end_of([self.root / f"{daemon}.pid" for daemon in ("slurmd", "slurmctld", "munge")])
        os.environ.pop("SLURM_CONF", None)

    def is_ready(self):
        return "idle" in call("sinfo", "--noheader", "--format=%t")

    def version(self):
        return call("sbatch", "--version").strip()

    def queue(self):
        return call("squeue", "--noheader", "--array")

    def asked_for(self, job: str) -> str:
        "What a job in the queue asked for."
        return " ".join(re.findall(r"(?<= )(?:TRES|TresPerNode)=\S+", call("scontrol", "show", "job", job)))

    def kill(self, job: str, task: int | None = None) -> None:
        call("scancel", job if task is None else f"{job}_{task}")

    def put_back(self, job: str, task: int) -> None:
        "The task of a job that has ended, into the queue again."
        call("scontrol", "requeue", f"{job}_{task}")

    def again(self, task: int) -> list[str]:
        return ["sbatch", f"--array={task}", "extract.slurm"]


class GridEngine(Scheduler):
    name, suffix = "Grid Engine", "sge"
    needs = ("sge_qmaster", "sge_execd", "qsub", "qconf")

    def start(self):
        installed, cell = Path("/var/lib/gridengine"), self.root / "default/common"
        for folder in (cell, self.root / "spool/qmaster/job_scripts", self.root / "spool/execd", self.root / "spool/spooldb"):
            folder.mkdir(parents=True)
        for name in ("bin", "lib", "util", "utilbin"):
            (self.root / name).symlink_to(installed / name)
        ports = {f"SGE_{daemon}_PORT": str(free_port()) for daemon in ("QMASTER", "EXECD")}
        os.environ.update(ports | {"SGE_ROOT": str(self.root), "SGE_CELL": "default"})
        # Its host has to have one name: where 127.0.0.1 is found under another one, the master refuses its own node.
        (cell / "host_aliases").write_text(f"{HOST} localhost\n")
        (cell / "act_qmaster").write_text(f"{HOST}\n")
        shared = Path("/usr/share/gridengine")
        bootstrap = (shared / "default-bootstrap").read_text().replace("/var/spool/gridengine", f"{self.root}/spool")
        (cell / "bootstrap").write_text(bootstrap.replace("sgeadmin", "root"))
        call(shared / "scripts/init_cluster", self.root, "default", self.root / "spool/spooldb", "root")
        call("sge_qmaster")
        self.wait_until(lambda: call("qconf", "-sh"), "its master does not answer")
        settings = (shared / "default-configuration").read_text().replace("/var/spool/gridengine", f"{self.root}/spool")
        self.configure("-Mconf", re.sub(r"^(min_[ug]id).*", r"\1 0", settings, flags=re.MULTILINE), "global")
        self.configure("-Mc", call("qconf", "-sc") + COMPLEXES.lstrip())
        self.configure("-Aprj", PROJECT)
        self.configure("-Ap", PARALLEL.lstrip())
        call("qconf", "-as", HOST)
        soon = re.sub(r"^(schedule_interval).*", r"\1 0:0:1", call("qconf", "-ssconf"), flags=re.MULTILINE)
        self.configure("-Msconf", re.sub(r"^(flush_\w+_sec).*", r"\1 1", soon, flags=re.MULTILINE))
        call("sge_execd")
        self.wait_for_node()  # it is known when it has come
        self.configure("-Me", NODE.lstrip())
        limits = [f"{kind}_{name} INFINITY" for name in LIMITS for kind in "sh"]
        self.configure("-Aq", "\n".join([QUEUE.strip(), *(f"{name} NONE" for name in NONE), *limits, ""]))

    def configure(self, option: str, text: str, name: str = "asked") -> None:
        (self.root / name).write_text(text)
        call("qconf", option, self.root / name)

    def stop(self):
        spool = self.root / "spool"
        end_of([*spool.glob("execd/*/execd.pid"), spool / "qmaster/qmaster.pid"])
        for name in ("SGE_ROOT", "SGE_CELL", "SGE_QMASTER_PORT", "SGE_EXECD_PORT"):
            os.environ.pop(name, None)

    def is_ready(self):
        return re.search(rf"^{re.escape(HOST)} .* \d", call("qhost"), re.MULTILINE) is not None

    def version(self):
        return subprocess.run(["qconf", "-help"], capture_output=True, text=True).stdout.splitlines()[0].replace("SGE", "Grid Engine")

    def queue(self):
        return call("qstat")

    def asked_for(self, job: str) -> str:
        "What a job in the queue asked for."
        lines = call("qstat", "-j", job).splitlines()
        return "; ".join(" ".join(line.split()) for line in lines if line.startswith(("hard resource_list", "parallel environment")))

    def kill(self, job: str, task: int | None = None) -> None:
        call("qdel", job, *([] if task is None else ["-t", task]))

    def put_back(self, job: str, task: int) -> None:
        "A job that has ended cannot be put back: the task is submitted again."
        call(*self.again(task))

    def again(self, task: int) -> list[str]:
        return ["qsub", "-t", str(task), "extract.sge"]
