"""Snakemake logger plugin: progress of a run in short lines, causes of failures at its end.

Snakemake finds the plugin by its package name; `logger: importance-atlas` in profiles/default enables it. The plugin
adds to Snakemake's own messages, shortens the reasons of jobs in them, and sees only the events that Snakemake sends to
loggers.
"""

import json
import logging
import re
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase

INTERVAL = 30.0
"""Seconds between progress reports."""

LAST_LINES = 15
"""Log lines shown for a failed job without an error message of this project."""

SHOWN = 3
"""Number of rules named in a progress report."""

SNAKEMAKE = "snakemake.logging"
"""Name of Snakemake's logger."""

LONGEST_REASON = 160
"""Characters of a reason, unless single paths are longer; `snakemake --verbose` prints reasons in full."""

PARAMETERS = "Params have changed since last execution: "
FINGERPRINT = re.compile(r"'([^' ]+\.(?:py|ipynb)) (\w+)'")
"""A file of code and its hash in the parameters of a rule."""

SETTINGS = re.compile(r"'(\{[^']*\})'")
"""A job's settings as JSON in the parameters of a rule."""

TARGETS = {"all", "figures", "summary", "total"}
"""Entries in Snakemake's job statistics that compute nothing."""


@dataclass
class Job:
    """A started job."""

    rule: str
    message: str
    logs: list[str]
    start: float
    seconds: float | None = None
    failed: bool = False

    @property
    def running(self) -> bool:
        return self.seconds is None and not self.failed


class LogHandler(LogHandlerBase):
    """Reports the progress of a run every 30 seconds, and failed jobs at its end."""

    writes_to_stream = False  # Snakemake's own messages appear as well
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._out: TextIO = sys.stderr
        self._clock: Callable[[], float] = time.monotonic
        self._planned: dict[str, int] = {}
        self._jobs: dict[int, Job] = {}
        self._parallel = 1
        self._ended = threading.Event()
        # with these options Snakemake does not announce finished jobs
        self._counted = not {"PROGRESS", "ALL"} & {option.name for option in self.common_settings.quiet or ()}
        if not self.common_settings.verbose:
            logging.getLogger(SNAKEMAKE).addFilter(_with_short_reason)

    def emit(self, record: logging.LogRecord) -> None:
        """Process an event."""
        fields = vars(record)
        match str(fields.get("event")):
            case "resources_info":
                self._parallel = fields.get("cores") or fields.get("nodes") or self._parallel
            case "run_info" if not self.common_settings.dryrun:
                self._planned = {rule: count for rule, count in fields["stats"].items() if rule not in TARGETS}
                threading.Thread(target=self._report_regularly, daemon=True).start()
            case "job_info" if fields["rule_name"] in self._planned:
                rule, message = fields["rule_name"], fields["rule_msg"]
                self._jobs[fields["jobid"]] = Job(rule, message or rule, [*fields["log"]], self._clock())
            case "job_finished" if fields["job_id"] in self._jobs:
                job = self._jobs[fields["job_id"]]
                job.seconds = self._clock() - job.start
            case "job_error" if fields["jobid"] in self._jobs:
                self._jobs[fields["jobid"]].failed = True

    def _report_regularly(self) -> None:
        while self._counted and not self._ended.wait(INTERVAL):
            self.acquire()
            try:
                self._write(self.progress())
            finally:
                self.release()

    def _write(self, lines: Iterable[str]) -> None:
        print("\n".join(lines), file=self._out, flush=True)

    def progress(self) -> list[str]:
        """Number of finished jobs, time left, and each running job with the last line of its log."""
        done, failed = self._count()
        failures = f", {failed} failed" if failed else ""
        lines = [f"[progress] {done} of {sum(self._planned.values())} jobs done{failures}; {self.time_left()}"]
        for job in self._jobs.values():
            if job.running:
                status = f"{job.message}: {_last_line(job.logs)}".removesuffix(": ")
                lines.append(f"[running {_duration(self._clock() - job.start)}] {status}")
        return lines

    def _count(self) -> tuple[int, int]:
        """Count finished and failed jobs."""
        jobs = self._jobs.values()
        return sum(job.seconds is not None for job in jobs), sum(job.failed for job in jobs)

    def time_left(self) -> str:
        """Estimate the time left from each rule's mean job time; name rules without a finished job."""
        started: dict[str, list[Job]] = defaultdict(list)
        for job in self._jobs.values():
            started[job.rule].append(job)
        seconds, longest, untimed = 0.0, 0.0, []
        for rule, count in self._planned.items():
            times = [job.seconds for job in started[rule] if job.seconds is not None]
            running = [self._clock() - job.start for job in started[rule] if job.running]
            waiting = count - len(started[rule])
            if not times:
                untimed += [rule] * bool(running or waiting)
                continue
            mean = sum(times) / len(times)
            left = [max(mean - elapsed, 0.0) for elapsed in running] + [mean] * waiting
            seconds += sum(left)
            longest = max([longest, *left])
        total = _duration(max(seconds / self._parallel, longest))
        if not untimed:
            return f"about {total} left"
        names = ", ".join(untimed[:SHOWN]) + f" and {len(untimed) - SHOWN} more" * (len(untimed) > SHOWN)
        known = f"more than {total} left" if seconds else "time left unknown"
        return f"{known} (not timed yet: {names})"

    def close(self) -> None:
        """Print which jobs failed and why, or that the run was interrupted, and what to do."""
        self._ended.set()
        logging.getLogger(SNAKEMAKE).removeFilter(_with_short_reason)
        done, failed = self._count()
        total = sum(self._planned.values())
        if failed:
            failures = [job for job in self._jobs.values() if job.failed]
            kept = f"Finished and kept: {done}; not started: {total - done - failed}. " if self._counted else ""
            self._write(summary(failures, f"{failed} of {total} jobs failed", kept))
        elif self._counted and self._jobs and done < total:  # a refused run has started no jobs
            self._write([f"interrupted: {done} of {total} jobs are done; the same command continues"])
        self._planned, self._jobs = {}, {}
        super().close()


def _with_short_reason(record: logging.LogRecord) -> bool:
    """A filter that passes every record, with a short reason."""
    if reason := vars(record).get("reason"):
        vars(record)["reason"] = short_reason(str(reason))
    return True


def short_reason(reason: str) -> str:
    """Shorten Snakemake's reason for a job: which files are missing or updated, which code and settings changed."""
    files, is_changed, parameters = reason.partition(PARAMETERS)
    parts = [part.partition(": ") for part in files.split("; ") if part]
    lists = [(kind, names.split(", ") if names else []) for kind, _, names in parts]
    if is_changed:
        before, _, now = parameters.rpartition(" now: ")
        code = sorted({file for file, _ in {*FINGERPRINT.findall(before)} ^ {*FINGERPRINT.findall(now)}})
        lists += [("Code has changed", code)] if code else []
        settings = _settings(before), _settings(now)
        changed = sorted({name for name, _ in settings[0] ^ settings[1]}) if all(settings) else []
        lists += [("Settings have changed", changed)] if changed or "{" in parameters or not code else []
    return "; ".join(_few(kind, names, LONGEST_REASON // len(lists)) for kind, names in lists)


def _settings(parameters: str) -> set[tuple[str, str]]:
    """The dotted names of the settings in the parameters of a rule, and their values as text."""

    def leaves(values: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", json.dumps(value)

    try:
        return {leaf for text in SETTINGS.findall(parameters) for leaf in leaves(json.loads(text))}
    except ValueError:  # an apostrophe in a value cuts the JSON off
        return set()


def _few(kind: str, names: Sequence[str], longest: int) -> str:
    """The kind and as many names as fit, at least one, and the number of others."""
    count = len(names)
    while True:
        more = f" and {len(names) - count} more" if count < len(names) else ""
        text = f"{kind}: {', '.join(names[:count])}{more}" if names else kind
        if len(text) <= longest or count <= 1:
            return text
        count -= 1


def summary(failures: Sequence[Job], title: str, kept: str) -> list[str]:
    """List the failed jobs, the end of each log, and what to do.

    Args:
        failures: the failed jobs.
        title: heading.
        kept: sentence on the other jobs.
    """
    lines = ["", f"{'=' * 20} {title} {'=' * 20}"]
    for job in failures:
        lines += ["", f"{job.message} (rule {job.rule})"]
        lines += [f"  {line}" for line in cause(job.logs)]
        lines += [f"  Full log: {log}" for log in job.logs if log.endswith(".log")]
    return [*lines, "", f"{kept}Fix the causes given above, then run the same command again."]


def cause(logs: Sequence[str]) -> list[str]:
    """Extract the explanation of a failure from its logs: an error message of this project, or the last lines."""
    files = [path for path in map(Path, logs) if path.suffix != ".ipynb" and path.is_file()]
    lines = [line for path in files for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    messages = [index for index, line in enumerate(lines) if line.startswith(("error: ", "interrupted: "))]
    if messages:
        return lines[messages[-1] :]
    end = [line for line in lines if line.strip()][-LAST_LINES:]
    if any(line.startswith("Traceback") for line in lines):
        return [*end, "This is an error in the program or in a package that it uses, not in your input."]
    ending = "The job ended without an error message" if end else "The job wrote nothing before it ended"
    return [*end, f"{ending}: it may have been killed for lack of memory (see dmesg) or by a time limit."]


def _last_line(logs: Sequence[str]) -> str:
    for path in map(Path, logs):
        if path.suffix == ".log" and path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            return lines[-1][:120] if lines else ""
    return ""


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
