"""What a person sees of a run: an honest time left, and last of all why a job failed."""

import io
import logging

import pytest

import screen

LOGGER = logging.getLogger("test_screen")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watching(clock, tmp_path, monkeypatch):
    """Four jobs on two cores; of two it is known how long they took last: 100 s."""
    monkeypatch.setattr(screen.threading.Thread, "start", lambda self: None)
    monkeypatch.setattr(screen.atexit, "register", lambda function: None)
    (tmp_path / "b.tsv").write_text("s\th:m:s\n100.0\t0:01:40\n")
    found = screen.Screen(every=30, out=io.StringIO(), clock=clock)
    timed = str(tmp_path / "b.tsv")
    found.begin([(1, "train", timed), (2, "train", timed), (3, "train", None), (4, "paper", None)], cores=2)
    return found


def event(watching, name: str, **fields) -> None:
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, "", None, None)
    vars(record).update(event=name, **fields)
    watching.emit(record)


def begin(watching, number: int, log: str = "") -> None:
    event(watching, "job_info", jobid=number, rule_msg=f"Job number {number}", log=[log])


def test_time_left_is_by_the_last_run_until_this_one_knows_better(watching, clock):
    begin(watching, 1), begin(watching, 2)
    assert "more than 2 min left (not timed yet: paper)" in watching.time_left()  # 300 s of training on two cores
    clock.now = 50.0  # twice as fast as last time
    event(watching, "job_finished", job_id=1)
    assert "more than 50 s left (not timed yet: paper)" in watching.time_left()  # the third one, as long as the first
    begin(watching, 3)
    clock.now = 100.0
    event(watching, "job_finished", job_id=2), event(watching, "job_finished", job_id=3)
    assert watching.time_left() == "time left unknown (not timed yet: paper)"


def test_lines_say_what_is_done_and_what_runs(watching, clock, tmp_path):
    (tmp_path / "one.log").write_text("device cpu\ntask 1/1, step 5/10, 3 s left\n")
    begin(watching, 1, str(tmp_path / "one.log"))
    clock.now = 29.0
    watching.tell_if_due()
    assert watching._out.getvalue() == ""
    clock.now = 31.0
    watching.tell_if_due()
    watching.tell_if_due()
    first, second = watching._out.getvalue().splitlines()
    assert first.startswith("[progress] 0 of 4 jobs done; ")
    assert second == "[running 31 s] Job number 1: task 1/1, step 5/10, 3 s left"


def test_nothing_is_said_in_the_end_if_nothing_failed_for_good(watching, clock):
    begin(watching, 1)
    event(watching, "job_error", jobid=1, log=[])
    begin(watching, 1)  # once more
    event(watching, "job_finished", job_id=1)
    watching.end()
    assert watching._out.getvalue() == ""


ENDS = {
    "our own message": ("noise\nerror: x is 3.\nMend it.\n", ["error: x is 3.", "Mend it."], "noise"),
    "a traceback": ("Traceback (most recent\n  File\nKeyError: 'a'\n", ["KeyError: 'a'", "not of yours"], "killed"),
    "no message": ("step 1\nstep 2\n", ["step 2", "may have been killed"], "not of yours"),
    "nothing": ("", ["It said nothing before it ended"], "not of yours"),
}


def test_an_executed_notebook_is_no_log_to_be_read(watching, tmp_path):
    """What is one is told by its name; a log may begin with a brace, too."""
    notebook, log = tmp_path / "executed.ipynb", tmp_path / "job.log"
    notebook.write_text("error: of the notebook\n")
    log.write_text('{"step": 1}\nerror: x is 3.\n')
    begin(watching, 1, str(log))
    event(watching, "job_error", jobid=1, log=[str(log), str(notebook)])
    watching.end()
    said = watching._out.getvalue()
    assert "error: x is 3." in said and "of the notebook" not in said


@pytest.mark.parametrize(("log", "shown", "hidden"), ENDS.values(), ids=ENDS)
def test_the_reason_of_a_failure_comes_last(watching, tmp_path, log, shown, hidden):
    file = tmp_path / "job.log"
    file.write_text(log)
    begin(watching, 1, str(file))
    event(watching, "job_error", jobid=1, log=[str(file)])
    watching.end()
    said = watching._out.getvalue()
    assert "1 of 4 jobs failed" in said and "Job number 1 (rule train)" in said
    assert all(text in said for text in [*shown, f"The whole log: {file}", "run the same command again"])
    assert hidden not in said
