"""What a person sees of a run besides Snakemake's own messages: how far it is, how long it will take, what went wrong.

Snakemake reports every event of a run (a job begins, ends, fails) to the handlers of its logger, with the same fields
that it hands to logger plugins; one more handler listens here. Lines about progress come between Snakemake's; what a
person needs after a failure comes last of all, when the process ends.
"""

import atexit
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

LAST_LINES = 15
"""Of a failed job's log, where it does not end in an error message of ours."""


@dataclass
class Job:
    """A job of this run."""

    rule: str
    expected: float | None = None  # seconds, by its last run
    message: str = ""
    logs: list[str] = field(default_factory=list)
    began: float | None = None
    took: float | None = None
    failed: bool = False


class Screen(logging.Handler):
    """Listens to a run of Snakemake.

    Args:
        every: seconds between two lines about progress.
        out: where to write.
        clock: seconds.
    """

    def __init__(self, every: float = 30.0, out: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._every, self._out, self._clock = every, out, clock
        self._jobs: dict[int, Job] = {}
        self._cores = 1
        self._said = clock()

    def begin(self, jobs: Iterable[tuple[int, str, str | None]], cores: int) -> None:
        """Take notice of all jobs that are to run, and speak from time to time until the process ends.

        Args:
            jobs: number, rule, and the file that holds how long the job took last, if any.
            cores: how many jobs run at a time.
        """
        self._jobs = {number: Job(rule, _seconds(benchmark)) for number, rule, benchmark in jobs}
        self._cores = max(cores, 1)
        self._said = self._clock()
        threading.Thread(target=self._speak, daemon=True).start()
        atexit.register(self.end)

    def _speak(self) -> None:
        while True:
            time.sleep(1)
            self.tell_if_due()

    def emit(self, record: logging.LogRecord) -> None:
        """Take notice of an event."""
        about = vars(record)
        job = self._jobs.get(about.get("jobid", about.get("job_id")))
        if job is None:
            return
        match str(about.get("event")):
            case "job_info":
                job.message, job.logs = about["rule_msg"] or job.rule, [*about["log"]]
                job.began, job.failed = self._clock(), False
            case "job_finished":
                job.took = 0.0 if job.began is None else self._clock() - job.began
                self.tell_if_due()
            case "job_error":
                job.failed, job.logs = True, [*about["log"]]

    def tell_if_due(self) -> None:
        """Say how far the run is, unless that was said a short while ago."""
        if self._clock() - self._said >= self._every:
            self._said = self._clock()
            print("\n".join(self.progress()), file=self._out, flush=True)

    def progress(self) -> list[str]:
        """How far the run is: what is done, the time left, and each running job with the last line of its log."""
        done = sum(job.took is not None for job in self._jobs.values())
        running = [job for job in self._jobs.values() if job.began is not None and job.took is None and not job.failed]
        failed = sum(job.failed for job in self._jobs.values())
        lost = f", {failed} failed" if failed else ""
        lines = [f"[progress] {done} of {len(self._jobs)} jobs done{lost}; {self.time_left()}"]
        for job in running:
            said = _last_line(job.logs)
            lines.append(f"[running {_duration(self._clock() - job.began)}] {job.message}{': ' + said if said else ''}")
        return lines

    def time_left(self) -> str:
        """The time left, by how long each job took last and how long its like take now; said to be unknown if it is."""
        waiting = [job for job in self._jobs.values() if job.took is None and not job.failed]
        pace = {rule: self._pace(rule) for rule in {job.rule for job in waiting}}
        seconds, untimed, longest = 0.0, set(), 0.0
        for job in waiting:
            factor, mean = pace[job.rule]
            whole = job.expected * factor if job.expected is not None else mean
            if whole is None:
                untimed.add(job.rule)
                continue
            gone = self._clock() - job.began if job.began is not None else 0.0
            seconds += max(whole - gone, 0.0)
            longest = max(longest, whole - gone)
        left = max(seconds / self._cores, longest)
        if not untimed:
            return f"about {_duration(left)} left"
        names = ", ".join(sorted(untimed))
        return (f"more than {_duration(left)} left" if seconds else "time left unknown") + f" (not timed yet: {names})"

    def _pace(self, rule: str) -> tuple[float, float | None]:
        """How much longer than last time jobs of a rule take now, and how long on average; ``None``: not known."""
        finished = [job for job in self._jobs.values() if job.rule == rule and job.took is not None]
        both = [(job.took, job.expected) for job in finished if job.expected]
        factor = sum(took for took, _ in both) / sum(expected for _, expected in both) if both else 1.0
        known = [job.expected * factor for job in self._jobs.values() if job.rule == rule and job.expected is not None]
        times = [job.took for job in finished] or known
        return factor, sum(times) / len(times) if times else None

    def end(self) -> None:
        """Say what went wrong, if anything did: the end of each failed job's log, and what to do."""
        failed = [job for job in self._jobs.values() if job.failed and job.took is None]
        if failed:
            done = sum(job.took is not None for job in self._jobs.values())
            print("\n".join(summary(failed, done, len(self._jobs))), file=self._out, flush=True)


def summary(failed: Sequence[Job], done: int, total: int) -> list[str]:
    """What a person needs to know once jobs have failed.

    Args:
        failed: the jobs that did.
        done: how many were finished.
        total: how many there were.
    """
    waiting = total - done - len(failed)
    lines = ["", f"{'=' * 20} {len(failed)} of {total} jobs failed {'=' * 20}"]
    for job in failed:
        lines += ["", f"{job.message or job.rule} (rule {job.rule})"]
        lines += [f"  {line}" for line in last_words(job.logs)]
        lines += [f"  The whole log: {log}" for log in job.logs if log.endswith(".log")]
    kept = f"Finished and kept: {done}; not begun: {waiting}."
    return [*lines, "", f"{kept} Mend what is named above, then run the same command again."]


def last_words(logs: Sequence[str]) -> list[str]:
    """The end of a failed job's log that says why: our own error message if there is one, else the last lines."""
    files = [path for path in map(Path, logs) if path.suffix != ".ipynb" and path.is_file()]
    lines = [line for path in files for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    messages = [index for index, line in enumerate(lines) if line.startswith(("error: ", "interrupted: "))]
    if messages:
        return lines[messages[-1] :]
    said = [line for line in lines if line.strip()]
    if any(line.startswith("Traceback") for line in said):
        return [*said[-LAST_LINES:], "This is an error of the program, or of what it uses, not of yours."]
    told = "It said nothing before it ended" if not said else "It ended without an error message"
    return [*said[-LAST_LINES:], f"{told}: it may have been killed, for memory (dmesg tells) or by a time limit."]


def _last_line(logs: Sequence[str]) -> str:
    for log in logs:
        path = Path(log)
        if path.suffix == ".log" and path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            return lines[-1][:120] if lines else ""
    return ""


def _seconds(benchmark: str | None) -> float | None:
    """Seconds that a job took last, by Snakemake's benchmark file."""
    try:
        header, values = Path(benchmark or "").read_text(encoding="utf-8").splitlines()[:2]
        of: Mapping[str, str] = dict(zip(header.split("\t"), values.split("\t"), strict=True))
        return float(of["s"])
    except (OSError, ValueError, KeyError):
        return None


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
