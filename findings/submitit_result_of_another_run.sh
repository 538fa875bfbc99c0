#!/usr/bin/env bash
# submitit 1.5.4, run in a container: a job that was killed has a result, that of the job which had its number in the run before.
#
# The local executor, which AutoExecutor takes where there is no Slurm, numbers jobs by process id, and keeps what a job returns in the folder as
# NUMBER_0_result.pkl. Neither the start nor `result()` looks whether such a file is there already. In a container process ids begin with 1, so
# that the same program gives the same numbers in each run, and the folder, if it is to outlive the container, is a volume. The second run's jobs
# therefore find the results of the first. Who ends well overwrites its own. Who is killed, as the kernel does when memory runs out, writes
# nothing: `job.result()` gives the first run's vector, `job.exception()` is None and `job.state` FINISHED, where in an empty folder
# `result()` raises UncompletedJobError. (In core/core.py `result()` waits for the file, of whatever age. The state in local/local.py is how the
# process that looks after the job ended, and that one was not killed.) Outside of containers the kernel gives the ids of processes again, too, so
# that in a folder that collects many runs it happens now and then.
#
# What to do: a new folder for each run, as folder=f"jobs/{datetime.now():%Y%m%dT%H%M%S}", or delete *_result.pkl before submitting. Jobs of Slurm
# read their results in the same way, but their numbers are not given twice for a long time.
#
# Containers are stood for by `unshare --pid`, which wants root. Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "submitit==1.5.4"
cd "$folder"
cat >run.py <<'PYTHON'
import os
import signal
import sys

import submitit


def embed(clip: str, encoder: str) -> str:
    if encoder == "large":
        os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does when memory runs out
    return f"vector of {clip} by {encoder}"


encoder, jobs = sys.argv[1:]
executor = submitit.AutoExecutor(folder=jobs, cluster="local")
executor.update_parameters(timeout_min=1)
job = executor.submit(embed, "clip.mp4", encoder)
try:
    print(f"job {job.job_id}: {job.result()}; exception {job.exception()}, state {job.state}")
except submitit.core.utils.UncompletedJobError:
    print(f"job {job.job_id}: UncompletedJobError")
PYTHON
in_container() { unshare --pid --fork --mount-proc "$folder/venv/bin/python" run.py "$@"; }
in_container large empty | tee alone.txt
in_container small used | tee first.txt
in_container large used | tee second.txt
if [[ $(<alone.txt) != "job 2: UncompletedJobError" || $(<first.txt) != *"vector of clip.mp4 by small"* ]]; then
    echo "not as expected: nothing can be said" >&2
    exit 1
fi
if [[ $(<second.txt) != "job 2: vector of clip.mp4 by small; exception None, state FINISHED" ]]; then
    echo "changed: a killed job does not have the result of another run" >&2
    exit 1
fi
echo "as described: the killed job of encoder large has a vector of encoder small"
