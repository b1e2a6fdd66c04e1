"""Print where a number, figure or table of the paper comes from, down to files and checksums, and check them all.

The argument is a key of numbers.tex, a number or words as printed, ``Figure 3``, ``Table 2``, or a result.
Not named ``trace.py``, because that is a module of the standard library.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from safetensors import safe_open

from formatting import SHOWN, configuration_keys, described_device, place, places, quoted_argument, summarised
from quotations import cells, floats, is_printed_as, numbers, printed, quotations
from shelf import Shelf, Step, chain, is_elsewhere
from weight_importance.files.derivation import Constant, Derived, Package, Rows, Setting
from weight_importance.files.tables import COLUMNS
from weight_importance.runtime.errors import UserError, run_program
from weight_importance.runtime.optional import present
from weight_importance.runtime.own_estimators import VARIABLE, own_files

NUMBERS = "results/paper/numbers.tex"
HASH = 12
"""Number of checksum characters shown without ``--all``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wanted", help="key, printed number or words, 'Figure 3', 'Table 2', or a file")
    parser.add_argument("--all", action="store_true", help="every file, whole checksums, every row and command")
    arguments = parser.parse_args()
    if not Path(NUMBERS).is_file():
        raise UserError(
            f"there is no {NUMBERS} yet: run the workflow first (make paper), in the folder of the checkout"
        )
    if not arguments.wanted.strip():
        raise UserError("give a number: make trace NUMBER=97.31 (or 'Figure 3', a file, a key of numbers.tex)")
    try:
        success = Question(Shelf(Path()), arguments.all).answer(arguments.wanted.strip())
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        success = True
    sys.exit(0 if success else 1)


class Question:
    """Answers about the results of one checkout."""

    def __init__(self, shelf: Shelf, everything: bool = False) -> None:
        self.shelf, self.everything = shelf, everything
        self.numbers = numbers(shelf.root / NUMBERS)
        self.quoted = quotations(shelf.root / "paper")

    def answer(self, wanted: str) -> bool:
        """Print the answer; return whether all files and numbers agree with their records.

        Raises:
            UserError: nothing in the paper and its results matches.
        """
        root = self.shelf.root
        if wanted in self.numbers:
            return self.number(wanted)
        shown = floats(root / "paper", root / "results/paper/build")
        named = {name.lower(): files for name, files in shown.items()}
        if wanted.lower() in named:
            print(f"{wanted.capitalize()} of the paper shows {', '.join(named[wanted.lower()])}.\n")
            return all([self.file(file) for file in named[wanted.lower()]])
        files = self._files(wanted)
        if len(files) == 1:
            return self.file(files[0])
        return self._candidates(wanted, files, {file: name for name, members in shown.items() for file in members})

    def _files(self, wanted: str) -> list[str]:
        """Results with this path, or with this name, with or without its suffix."""
        path = os.path.relpath(wanted, self.shelf.root) if os.path.exists(wanted) else wanted
        results = list(self.shelf.all_results())
        return [path] if path in results else [file for file in results if wanted in (Path(file).name, Path(file).stem)]

    def _candidates(self, wanted: str, files: Sequence[str], shown: dict[str, str]) -> bool:
        """List the candidates; answer at once if there is exactly one number of the text."""
        matching = [key for key, value in self.numbers.items() if is_printed_as(value, wanted)]
        matching = matching or [key for key in self.numbers if wanted in key]
        in_text = [key for key in matching if key in self.quoted]
        in_tables = cells(self.shelf.root / "results/tables", wanted)
        if len(in_text) == 1 and not in_tables and not files:
            return self.number(in_text[0])
        if not (matching or in_tables or files):
            near = get_close_matches(wanted, [*self.numbers, *self.shelf.all_results()], n=3)
            raise UserError(
                f"nothing in the paper matches '{wanted}'. Give a number as it is printed (97.31), a key of {NUMBERS}, "
                "'Figure 3', 'Table 2', or a file under results/." + (f" Similar: {', '.join(near)}." if near else "")
            )
        print(f"'{wanted}' can be:\n")
        quotes = {key: f"{printed(self.numbers[key])}, {places(self.quoted[key])}" for key in in_text}
        self._list("quoted in the text", quotes)
        hits = {file: f"{count} cells" if count > 1 else "one cell" for file, count in in_tables.items()}
        self._list("in tables", {file: f"{shown.get(file, 'not in the paper')}, {text}" for file, text in hits.items()})
        self._list("files", dict.fromkeys(files, ""))
        rest = {key: printed(self.numbers[key]) for key in matching if key not in self.quoted}
        if in_text and not self.everything:
            numbers = f"{len(rest)} number{'s' * (len(rest) != 1)}"
            print(f"and {numbers} that the text does not quote (shown with ARGS=--all)\n" if rest else "")
        else:
            self._list("not quoted", rest)
        print("Run again with one of them: make trace NUMBER='...'")
        return True

    def _list(self, title: str, entries: dict[str, str]) -> None:
        if entries:
            print(title)
            most = len(entries) if self.everything else 10
            for entry, text in list(entries.items())[:most]:
                print(f"  {entry}{'   ' + text if text else ''}")
            print(f"  and {len(entries) - most} more (ARGS=--all)\n" if len(entries) > most else "")

    def number(self, key: str) -> bool:
        """Print where a number comes from; return whether it and its files agree with their records."""
        values = recomputed(self.shelf)
        value = values.get(key)
        print(f"{key} = {printed(self.numbers[key])}\n")
        self._print_entry("in the paper", places(self.quoted.get(key, [])) or "not quoted in the text")
        self._print_entry("macro", f"\\result{{{key}}} of {NUMBERS}")
        if not isinstance(value, Derived):
            raise UserError(f"the current code does not compute '{key}'. Run the workflow again.")
        self._print_entry("made by", f"{value.maker}, {place(value.maker)}")
        tables = [source for source in value.sources if isinstance(source, Rows)]
        for source in value.sources:
            self._print_entry("from", self._source(source))
        same = str(value) == self.numbers[key]
        verdict = "the same" if same else f"NOT the same: {printed(value)}. Run the workflow again."
        wanted = tuple(tables) or (Rows("no table"),)
        return (
            self._print_chain(chain(self.shelf, NUMBERS, wanted), f"Computed again from these tables now: {verdict}")
            and same
        )

    def _source(self, source: Rows | Setting | Constant | Package) -> str:
        match source:
            case Setting(key):
                settings = present(self.shelf.record(NUMBERS))["settings"]
                for name in key.split("."):
                    settings = settings.get(name, {}) if isinstance(settings, dict) else {}
                return f"the configuration: {key}: {json.dumps(settings)}"
            case Constant(module, name):
                return f"{name} of {module}, {place(f'{module}.{name}')}"
            case Package(name):
                return f"the installed {name}"
        files = [file for file in self.shelf.made_from(NUMBERS) if Path(file).stem == source.table]
        lines = [f"{', '.join(files)}: {source}"]
        for file in files:
            rows = source.of(self.shelf.table(file))
            lines.append(f"{len(rows)} row{'s' * (len(rows) != 1)}{summarised(rows)}")
            shown = rows if self.everything else rows.head(0)
            lines += shown.to_string().splitlines() if len(shown) else []
        return ("\n" + " " * 15).join(lines)

    def file(self, file: str) -> bool:
        """Print where a file comes from; return whether it agrees with its record."""
        print(file + "\n")
        return self._print_chain(chain(self.shelf, file))

    def _print_chain(self, steps: Sequence[Step], verdict: str = "") -> bool:
        """Print the files of these steps, stage by stage, and the outcome of the checks."""
        print("\ndepends on, nearest first\n")
        problems = {step.file: self.shelf.problems(step.file, step.sha256) for step in steps}
        stages: dict[str, list[Step]] = {}
        for step in steps:
            stages.setdefault(self._stage(step.file), []).append(step)
        for stage, members in stages.items():
            self._print_stage(stage, members, problems)
        self._print_data([step.file for step in steps])
        records = [record for step in steps if (record := self.shelf.record(step.file))]
        self._print_circumstances(records)
        wrong = {file: reasons for file, reasons in problems.items() if reasons}
        print(f"{'✗' if 'NOT' in verdict else '✓'} {verdict}" if verdict else "", end="\n" if verdict else "")
        if not wrong:
            checked = sum(self.shelf.checksum(step.file) is not None for step in steps)
            print(f"✓ All files ({checked}) have the checksums with which they were written and read, and were made by")
            print("  the current code.")
            self._print_elsewhere(records, [step.file for step in steps])
        for name, reasons in wrong.items():
            print(f"✗ {name} {'; '.join(reasons)}.")
        if wrong:
            print("  Run the workflow again: it makes these results again, and all that depend on them.")
        return not wrong

    def _print_elsewhere(self, records: Sequence[dict], files: Sequence[str]) -> None:
        """Name the files that could not be checked, because their folders are not recorded."""
        named = {code for record in records for code in record["code"]["files"]}
        unknown = sorted(file for file in named.union(files) if is_elsewhere(file) and not self.shelf.checksum(file))
        if unknown:
            print(f"  Not checked, because they are outside the checkout: {', '.join(unknown)}.")

    def _stage(self, file: str) -> str:
        record = self.shelf.record(file)
        if record is None:
            return "files outside the checkout" if is_elsewhere(file) else "files of the checkout"
        return self.shelf.job(file).get("rule") or Path(record["program"]).stem

    def _print_stage(self, stage: str, steps: Sequence[Step], problems: dict[str, list[str]]) -> None:
        record = self.shelf.record(steps[0].file)
        codes = {entry["code"]["sha256"] for step in steps if (entry := self.shelf.record(step.file))}
        about = f"({record['program']}, code {', '.join(map(self._short, sorted(codes)))})" if record else ""
        print(f"{stage} {about}".rstrip())
        keys = record and configuration_keys(record["settings"], present(self.shelf.record(NUMBERS))["settings"])
        if keys:
            print(f"  settings: {keys}")
        shown = steps if self.everything else steps[:SHOWN]
        for step in shown:
            checksum = self.shelf.checksum(step.file)
            mark = "✗" if problems[step.file] else "?" if is_elsewhere(step.file) and not checksum else "✓"
            sha256 = self._short(step.sha256 if mark == "?" else checksum)
            rows = "" if step.matching is None else f"  {step.matching} row{'s' * (step.matching != 1)}"
            print(f"  {mark} {sha256}  {step.file}{rows}")
            if self.everything and (entry := self.shelf.record(step.file)):
                print(f"      python {entry['program']} {' '.join(map(quoted_argument, entry['arguments']))}")
        if len(steps) > len(shown):
            print(f"    and {len(steps) - len(shown)} more (ARGS=--all)")
        print()

    def _print_data(self, files: Iterable[str]) -> None:
        for file in files:
            if file.startswith("results/data/") and (self.shelf.root / file).is_file():
                with safe_open(str(self.shelf.root / file), framework="np") as data:
                    about = data.metadata() or {}
                print(f"data           {about.get('dataset')} from {about.get('source')}; SHA-256 of its raw files:")
                for name, sha256 in json.loads(about.get("sha256", "{}")).items():
                    print(f"    {sha256}  {name}")
                print()

    def _print_circumstances(self, records: Sequence[dict]) -> None:
        seeds = sorted({seed for record in records for seed in record["seeds"] or ()})
        devices = dict.fromkeys(described_device(record["device"]) for record in records if record["device"])
        versions = {name: version for record in records for name, version in record["versions"].items()}
        self._print_entry("seeds", ", ".join(map(str, seeds)) or "none")
        self._print_entry("device", "; ".join(devices) or "none: tables and text only")
        self._print_entry(
            "versions", ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + "\n"
        )

    def _print_entry(self, name: str, text: str) -> None:
        print(f"{name:14} {text}")

    def _short(self, sha256: str | None) -> str:
        return "-" * HASH if sha256 is None else sha256 if self.everything else sha256[:HASH]


def recomputed(shelf: Shelf) -> dict[str, str]:
    """Recompute all numbers from the current tables, with the recorded settings.

    Raises:
        UserError: there is no record of the numbers, or a table differs from its seal.
    """
    record = shelf.record(NUMBERS)
    if record is None:
        raise UserError(
            f"{NUMBERS} has no provenance record. Run the workflow again: it makes results without a record again."
        )
    # the program of the numbers loads the user's own estimators for their labels
    own = [Path(file) for file in record["code"]["files"] if not file.startswith(("src/", "workflow/"))]
    places = {file: own_files().get(file.stem) if is_elsewhere(str(file)) else file for file in own}
    lost = [file.name for file, place in places.items() if place is None]
    if lost:
        raise UserError(
            f"the numbers were made with {', '.join(lost)}, outside this checkout. Set its path, then run again:\n"
            f"  export {VARIABLE}=/path/to/{lost[0]}"
        )
    os.environ[VARIABLE] = os.pathsep.join(map(str, places.values()))
    from weight_importance.files.storage import read_table
    from weight_importance.findings import publications, published  # these import PyTorch, which takes seconds
    from weight_importance.paper.numbers import collect
    from weight_importance.settings import Configuration

    tables = {
        Path(file).stem: read_table(shelf.root / file, COLUMNS[Path(file).stem])
        for file in record["inputs"]
        if Path(file).stem in COLUMNS
    }
    folder = shelf.root / record["arguments"][record["arguments"].index("--published") + 1]
    return collect(
        Configuration.model_validate_json(json.dumps(record["settings"])),
        tables,
        (published.retention(folder), published.pruning(folder), publications.published(folder)),
    )


if __name__ == "__main__":
    run_program(main)
