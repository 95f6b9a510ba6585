"""A job of SLURM that resumes after its time: it is put into the queue again, and its command says --resume."""

from __future__ import annotations

import os
import subprocess
import sys


def requeue() -> None:
    """Puts the job that this process belongs to into the queue again, and says so; without a job, does nothing."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        print(f"wavenet: error: SLURM did not requeue job {job}: {' '.join(said.split())}", file=sys.stderr)
    else:
        print(f"requeued SLURM job {job}", flush=True)
