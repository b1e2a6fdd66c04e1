"""The workflow under the Kubernetes profile, with a mock of kubectl that runs the jobs on this machine.

Tests the interaction of Snakemake with the profile's commands, without a cluster.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
TARGET = "results/runs/mlp_permuted_mnist/baseline/seeds-0-1.safetensors"

# keeps each manifest, runs its command like a pod, and records the end of each job; the first one is evicted
KUBECTL = """#!{python}
import pathlib, subprocess, sys, yaml
folder = pathlib.Path({folder!r})
verb, *arguments = sys.argv[1:]
if verb == "create":
    manifest = yaml.safe_load(sys.stdin)
    number = len(list(folder.glob("*.yaml")))
    (folder / f"{{number}}.yaml").write_text(yaml.safe_dump(manifest))
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    if number == 0:
        (folder / "0.end").write_text("1")
    else:
        run = ["sh", "-c", '"$@"; echo $? >"$0"', folder / f"{{number}}.end", *container["command"]]
        log = (folder / f"{{number}}.log").open("w")
        subprocess.Popen(run, cwd=container["workingDir"], stdout=log, stderr=log, start_new_session=True)
    print(f"job.batch/{{number}}")
elif verb == "get":
    end = folder / (arguments[0].removeprefix("job.batch/") + ".end")
    state = end.read_text().strip() if end.exists() else ""
    print("there", {{"": "", "0": "Complete"}}.get(state, "Failed"), end="")
"""


def test_jobs_are_submitted_monitored_and_retried(tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(REPOSITORY, folder, ignore=shutil.ignore_patterns(".*", "results", "__pycache__"))
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    kubectl = cluster / "kubectl"
    kubectl.write_text(KUBECTL.format(python=sys.executable, folder=str(cluster)), encoding="utf-8")
    kubectl.chmod(0o755)

    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/kubernetes", TARGET]
    run = subprocess.run(
        [*command, "--configfile", "presets/tiny.yaml"],
        cwd=folder,
        env=os.environ
        | {"PATH": os.pathsep.join([str(cluster), os.environ["PATH"]])}
        | {
            "IMPORTANCE_ATLAS_IMAGE": "image",
            "IMPORTANCE_ATLAS_CLAIM": "claim",
            "IMPORTANCE_ATLAS_MOUNT": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (folder / TARGET).is_file()
    tries = [yaml.safe_load((cluster / f"{number}.yaml").read_text(encoding="utf-8")) for number in range(2)]
    assert not (cluster / "2.yaml").exists()
    memory = [job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] for job in tries]
    assert memory == [{"memory": "3000M"}, {"memory": "6000M"}]
    assert [job["spec"]["activeDeadlineSeconds"] for job in tries] == [7200, 14400]
