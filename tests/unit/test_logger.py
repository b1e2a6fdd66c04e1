"""The logger plugin: progress with an estimate of the time left, and the causes of failures at the end."""

import io

import pytest
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

import snakemake_logger_plugin_importance_atlas as plugin


class TestInterface(TestLogHandlerBase):
    """Snakemake's tests of logger plugins."""

    __test__ = True

    def get_log_handler_cls(self):
        return plugin.LogHandler

    def get_log_handler_settings(self):
        return None


class Run:
    """A run with four jobs on two cores and a mock of the clock."""

    def __init__(self, dryrun=False, quiet=()):
        settings = MockOutputSettings()
        settings.dryrun, settings.quiet = dryrun, quiet
        self.handler = plugin.LogHandler(settings, None)
        self.handler._out, self.handler._clock = io.StringIO(), lambda: self.now
        self.now = 0.0
        self.event(LogEvent.RESOURCES_INFO, cores=2)
        self.event(LogEvent.RUN_INFO, stats={"train": 3, "paper": 1, "all": 1, "total": 5})

    def event(self, event, **fields):
        self.handler.emit(TestInterface()._create_event_record(event, **fields))

    def start(self, number, log="", rule="train"):
        self.event(LogEvent.JOB_INFO, jobid=number, rule_name=rule, rule_msg=f"Job number {number}", log=[log])

    def finish(self, number):
        self.event(LogEvent.JOB_FINISHED, job_id=number)

    def fail(self, number):
        self.event(LogEvent.JOB_ERROR, jobid=number)

    def end(self):
        self.handler.close()
        return self.handler._out.getvalue()


@pytest.fixture
def run():
    run = Run()
    yield run
    run.handler.close()


def test_time_left_comes_from_finished_jobs_of_the_same_rule(run):
    run.start(1), run.start(2)
    assert run.handler.time_left() == "time left unknown (not timed yet: train, paper)"
    run.now = 50.0
    run.finish(1)
    run.start(3)
    assert (
        run.handler.time_left() == "more than 50 s left (not timed yet: paper)"
    )  # job 2 is late, job 3 has just begun
    run.now = 100.0
    run.finish(2), run.finish(3)
    run.start(4, rule="paper")
    run.start(0, rule="all")
    assert run.handler.time_left() == "time left unknown (not timed yet: paper)"
    run.finish(4)
    assert run.handler.progress() == ["[progress] 4 of 4 jobs done; about 0 s left"]


def test_waiting_jobs_share_the_cores_and_few_rules_are_named(run):
    run.event(LogEvent.RUN_INFO, stats={"train": 9})
    run.start(1)
    run.now = 10.0
    run.finish(1)
    assert run.handler.time_left() == "about 40 s left"
    run.event(LogEvent.RUN_INFO, stats=dict.fromkeys(["train", "a", "b", "c", "d", "e"], 1))
    assert run.handler.time_left() == "time left unknown (not timed yet: a, b, c and 2 more)"


def test_progress_shows_the_last_line_of_running_jobs(run, tmp_path):
    (tmp_path / "one.log").write_text("device cpu\ntask 1/1, step 5/10, 3 s left\n")
    run.start(1, str(tmp_path / "one.log")), run.start(2)
    run.now = 31.0
    run.fail(2)
    first, second = run.handler.progress()
    assert first.startswith("[progress] 0 of 4 jobs done, 1 failed; ")
    assert second == "[running 31 s] Job number 1: task 1/1, step 5/10, 3 s left"


def test_a_job_that_succeeds_on_the_second_try_has_not_failed(run):
    run.start(1)
    run.fail(1)
    run.start(1)
    run.finish(1)
    assert run.end() == "interrupted: 1 of 4 jobs are done; the same command continues\n"


def test_a_complete_run_ends_without_output(run):
    for number in range(4):
        run.start(number, rule="paper" if number == 3 else "train")
        run.finish(number)
    assert run.end() == ""


def test_a_dry_run_has_no_progress():
    run = Run(dryrun=True)
    run.start(1)
    assert run.handler.progress()[0].startswith("[progress] 0 of 0 jobs done")
    assert run.end() == ""


OLD, NEW = "'src/a.py 0123', 'src/b.py 4567'", "'src/a.py 89ab', 'src/b.py 4567', 'src/c.py cdef'"
REASONS = {
    "Forced execution": "Forced execution",
    "Missing output files: " + ", ".join(f"results/{number:040}" for number in range(9)): (
        f"Missing output files: results/{0:040}, results/{1:040} and 7 more"
    ),
    f"Params have changed since last execution: Union of ...: before: [{OLD}] now: [{NEW}] ": (
        "Code has changed: src/a.py, src/c.py"
    ),
    """Updated input files: a, b; Params have changed since last execution: before: '{"x": 1}' now: '{"x": 2}' """: (
        "Updated input files: a, b; Settings have changed: x"
    ),
    "Params have changed since last execution: "
    """before: '{"x": {"y": [1], "z": 2}}' now: '{"w": null, "x": {"y": [1, 3], "z": 2}}' """: (
        "Settings have changed: w, x.y"
    ),
    "Params have changed since last execution: before: <nothing exclusive> now: 'a' ": "Settings have changed",
    """Params have changed since last execution: before: '{"x": 1}' now: '{"x": "it\\'s}"}' """: (
        "Settings have changed"
    ),
}


@pytest.mark.parametrize("reason", REASONS)
def test_reasons_name_few_files(run, reason):
    assert plugin.short_reason(reason) == REASONS[reason]


def test_a_quiet_run_does_not_count_jobs_whose_end_snakemake_does_not_announce():
    run = Run(quiet=[Quietness.PROGRESS])
    run.start(1)
    assert run.end() == ""
    run = Run(quiet=[Quietness.PROGRESS])
    run.start(1), run.fail(1)
    assert "kept" not in run.end()


ENDS = {
    "an error message": ("noise\nerror: x is 3.\nChange it.\n", ["error: x is 3.", "Change it."], "noise"),
    "a traceback": (
        "Traceback (most recent\n  File\nKeyError: 'a'\n",
        ["KeyError: 'a'", "not in your input"],
        "killed",
    ),
    "no message": ("step 1\nstep 2\n", ["step 2", "may have been killed"], "your input"),
    "an empty log": ("", ["The job wrote nothing before it ended"], "your input"),
}


@pytest.mark.parametrize(("log", "shown", "hidden"), ENDS.values(), ids=ENDS)
def test_the_cause_of_a_failure_comes_last(run, tmp_path, log, shown, hidden):
    file, notebook = tmp_path / "job.log", tmp_path / "executed.ipynb"
    file.write_text(log)
    notebook.write_text("error: in a notebook, which is not read\n")
    run.event(LogEvent.JOB_INFO, jobid=1, rule_name="train", rule_msg="Job number 1", log=[str(file), str(notebook)])
    run.fail(1)
    output = run.end()
    assert "1 of 4 jobs failed" in output and "Job number 1 (rule train)" in output
    assert all(text in output for text in [*shown, f"Full log: {file}", "run the same command again"])
    assert "Finished and kept: 0; not started: 3." in output
    assert hidden not in output and "in a notebook" not in output
