#!/usr/bin/env bash
# dask-jobqueue 0.9.0: SGECluster(cores=4, memory="16GiB") submits jobs that ask for one slot and for no memory; SLURMCluster asks for both.
#
# Seen in what job_script() prints, no scheduler needed: both start a worker with --nworkers 4 and a memory limit of 4 GiB each. The script for
# Slurm has --cpus-per-task=4 and --mem=16G. That for Grid Engine has no -pe and no -l but the one of the wall time, so the queue gives it one slot,
# and as much memory as one slot gets; nothing is warned of. (Of memory the documentation says that resource_spec has to be given as well; of cores
# it says nothing, and no parameter but job_extra_directives takes a parallel environment.) Who uses it has to repeat both:
# job_extra_directives=["-pe omp 4", "-l mem_per_core=4G"], or whatever the place calls these.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "dask-jobqueue==0.9.0" "dask==2026.8.0" "distributed==2026.8.0"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from dask_jobqueue import SGECluster, SLURMCluster


def script(kind, **more):
    with kind(cores=4, processes=4, memory="16GiB", walltime="1:00:00", scheduler_options={"host": "127.0.0.1", "dashboard_address": ":0"}, **more) as cluster:
        text = cluster.job_script()
    print(f"{kind.__name__} {more or ''}\n{text}")
    assert "--nworkers 4" in text and "--memory-limit 4.00GiB" in text
    return [line for line in text.splitlines() if line.startswith(("#SBATCH", "#$"))]


assert {"#SBATCH --cpus-per-task=4", "#SBATCH --mem=16G"} <= set(script(SLURMCluster)), "Slurm is asked for both"
asked = script(SGECluster)
assert not any(line.startswith("#$ -pe") for line in asked), f"changed: slots are asked for: {asked}"
assert [line for line in asked if line.startswith("#$ -l")] == ["#$ -l h_rt=1:00:00"], f"changed: memory is asked for: {asked}"
repeated = script(SGECluster, job_extra_directives=["-pe omp 4", "-l mem_per_core=4G"])
assert {"#$ -pe omp 4", "#$ -l mem_per_core=4G"} <= set(repeated)
PYTHON
echo "as described: cores and memory reach the workers, but not Grid Engine"
