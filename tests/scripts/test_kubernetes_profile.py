"""The Kubernetes profile's commands, with a mock of kubectl; they have not run on a cluster."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

PROFILE = Path(__file__).parents[2] / "profiles/kubernetes"
SETTING = {
    "IMPORTANCE_ATLAS_IMAGE": "registry.example/importance-atlas:1",
    "IMPORTANCE_ATLAS_CLAIM": "work",
    "IMPORTANCE_ATLAS_MOUNT": "/work",
}


@pytest.fixture
def run(tmp_path):
    """Run a command of the profile with a mock of kubectl that records its arguments."""

    def command(name: str, *arguments: str, says: str = "", ends: int = 0, **environment: str):
        kubectl = tmp_path / "kubectl"
        kubectl.write_text(
            f"#!/bin/sh\necho \"$@\" >'{tmp_path}/arguments'\n[ \"$1\" != create ] || cat >'{tmp_path}/manifest'\n"
            f"printf '%s' '{says}'\nexit {ends}\n",
            encoding="utf-8",
        )
        kubectl.chmod(0o755)
        path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
        return subprocess.run(
            [PROFILE / name, *arguments],
            env=os.environ | {"PATH": path} | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return command


@pytest.mark.parametrize(("gpus", "limits"), [("0", {}), ("1", {"nvidia.com/gpu": 1})])
def test_a_job_requests_the_resources_of_its_rule(run, tmp_path, gpus, limits):
    done = run("submit", "2", "3000", "120", gpus, "/copy/job.sh", says="job.batch/atlas-x", **SETTING)
    assert (done.returncode, done.stdout) == (0, "job.batch/atlas-x")
    job = yaml.safe_load((tmp_path / "manifest").read_text(encoding="utf-8"))
    assert (job["kind"], job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == ("Job", 0, 7200)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"] == {"requests": {"cpu": 2, "memory": "3000M"}, "limits": {"memory": "3000M"} | limits}
    assert (container["image"], container["workingDir"]) == (SETTING["IMPORTANCE_ATLAS_IMAGE"], str(tmp_path))
    assert container["command"] == ["sh", "/copy/job.sh"]
    assert container["volumeMounts"] == [{"name": "checkout", "mountPath": "/work"}]
    assert pod["volumes"] == [{"name": "checkout", "persistentVolumeClaim": {"claimName": "work"}}]


@pytest.mark.parametrize("missing", SETTING)
def test_a_missing_variable_is_named(run, tmp_path, missing):
    done = run("submit", "1", "1", "1", "0", "job.sh", **SETTING | {missing: ""})
    assert done.returncode != 0 and f"variable {missing} is not set" in done.stderr
    assert not (tmp_path / "arguments").exists()


@pytest.mark.parametrize(
    ("says", "ends", "state"),
    [
        ("there ", 0, "running"),
        ("there SuccessCriteriaMet Complete", 0, "success"),
        ("there FailureTarget Failed", 0, "failed"),
        ("", 0, "failed"),  # it was deleted
        ("", 1, "running"),  # the cluster does not answer
    ],
)
def test_a_job_s_state_is_one_of_snakemake_s(run, says, ends, state):
    assert run("status", "job.batch/atlas-x", says=says, ends=ends).stdout.strip() == state


def test_jobs_are_cancelled_without_waiting_for_their_pods(run, tmp_path):
    assert run("cancel", "job.batch/a", "job.batch/b").returncode == 0
    arguments = (tmp_path / "arguments").read_text(encoding="utf-8").split()
    assert arguments == ["delete", "--ignore-not-found", "--wait=false", "job.batch/a", "job.batch/b"]
