"""Execute a notebook with the given parameters; write the executed notebook and a page (HTML).

The user's Jupyter settings are ignored. The kernel communicates through files in a private folder, so that parallel
kernels cannot use the same port. The page loads nothing from the network.
"""

import argparse
import ast
import json
import os
import sys
import tempfile
from pathlib import Path

from weight_importance.files.provenance import COMMAND_VARIABLE, READINGS_VARIABLE, note_input, note_readings
from weight_importance.files.storage import write_text
from weight_importance.runtime.arguments import json_object
from weight_importance.runtime.errors import UserError, run_program, unknown_name

PRELOADED = Path(__file__).resolve().parents[1] / "rules/preloaded.py"
"""Starts programs as forks of a process with the libraries, or plainly if there is none."""

LONGEST_FOLDER = 70
"""Longest path (bytes) that leaves room for a folder's and a socket's name (30 bytes)."""

# nbconvert's "lab" template without scripts from the network, with folded code and without the cell of default
# parameters. On narrow screens table rows become cards and wide content scrolls.
OFFLINE_PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block codecell -%}
{%- set tags = cell.metadata.get('tags', []) -%}
{%- if 'parameters' not in tags or not resources.injected -%}{{ super() }}{%- endif -%}
{%- endblock -%}
{%- block input_group -%}
<details class="code">
<summary>{{ 'Parameters' if 'injected-parameters' in cell.metadata.get('tags', []) else 'Code' }}</summary>
{{ super() }}
</details>
{%- endblock -%}
{%- block html_head_css -%}
<style>
  :root { --jp-cell-editor-background: white; /* on grey the colours of code are too faint */ }
  body.jp-Notebook { padding: 1rem; }
  main { max-width: 72rem; margin: 0 auto; }
  .jp-RenderedHTMLCommon { padding-right: 0; }
  .jp-OutputArea-output { overflow-x: auto; }
  .jp-RenderedImage img { max-width: 100%; height: auto; }
  .jp-CodeCell { padding: 0 0 0 5px; }
  details > summary { cursor: pointer; color: #555; font: 14px/1.6 system-ui, sans-serif; width: fit-content; }
  details.code > summary { font-size: 13px; }
  .jp-RenderedHTMLCommon blockquote {
    margin: 0.5rem 0 1rem; padding: 0.75rem 1rem; border-left: 4px solid #332288; background: #f3f3fb;
  }
  .jp-RenderedHTMLCommon blockquote p { margin: 0; }
  .jp-RenderedHTMLCommon table.paper { margin: 0.5rem 0 1rem; font-size: 14px; border-collapse: collapse; }
  .jp-RenderedHTMLCommon table.paper :is(th, td) { padding: 0.25rem 0.4rem; text-align: right; white-space: nowrap; }
  .jp-RenderedHTMLCommon table.paper :is(th[scope], .l) { text-align: left; white-space: normal; }
  .jp-RenderedHTMLCommon table.paper tbody th { font-weight: normal; }
  .jp-RenderedHTMLCommon table.paper thead { border-bottom: 1px solid #555; vertical-align: bottom; }
  .jp-RenderedHTMLCommon :is(sub, sup) { font-size: 12px; line-height: 0; }
  table.paper td { font-variant-numeric: tabular-nums; }
  @media (min-width: 901px) {
    .jp-RenderedHTMLCommon table.paper :is(th[scope], .l):not(:last-child) { white-space: nowrap; }
  }
  @media (max-width: 900px) {
    body.jp-Notebook { padding: 0.5rem 0.25rem; }
    .highlight pre { white-space: pre-wrap; overflow-wrap: anywhere; }
    .jp-RenderedImage img { width: 810px; max-width: none; } /* its smallest text still has 12 px */
    .jp-RenderedImage::before {
      content: "The figure continues to the right."; position: sticky; left: 0; display: block; width: max-content;
      color: #555; font: 12px/1.6 system-ui, sans-serif;
    }
    table.paper.plain tbody th, .dataframe tbody th:first-child { position: sticky; left: 0; background: white; }
    .jp-RenderedHTMLCommon table.plain :is(td.l, th[scope="row"]) { white-space: nowrap; }
    .jp-RenderedHTMLCommon table.long th[scope="row"] { white-space: normal; min-width: 8.5rem; }
    table.cards thead { display: none; }
    .jp-RenderedHTMLCommon table.cards :is(tbody, tr, td, th) {
      display: block; width: auto; max-width: none; white-space: normal; background: none;
    }
    .jp-RenderedHTMLCommon table.cards { width: 100%; }
    .jp-RenderedHTMLCommon table.cards tr { padding: 0.4rem 0; border-top: 1px solid #ccc; }
    .jp-RenderedHTMLCommon table.cards tbody th { font-weight: bold; }
    .jp-RenderedHTMLCommon table.cards td {
      display: flex; justify-content: space-between; gap: 1rem; padding: 0 0.6rem;
    }
    .jp-RenderedHTMLCommon table.cards td::before { content: attr(data-label); color: #555; text-align: left; }
    .jp-RenderedHTMLCommon table.cards :is(td, th):empty { display: none; }
  }
</style>
{%- endblock -%}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebook", type=Path, required=True, help="notebook to execute (.ipynb)")
    parser.add_argument("--parameters", type=json_object, required=True, help="values of its parameters cell, as JSON")
    parser.add_argument("--executed", type=Path, required=True, help="output: executed notebook, also if a cell fails")
    parser.add_argument("--html", type=Path, required=True, help="output: the executed notebook as a page (.html)")
    arguments = parser.parse_args()
    if not arguments.notebook.is_file():
        raise UserError(f"there is no notebook {arguments.notebook}; name one of those in notebooks/.")
    with tempfile.TemporaryDirectory(prefix="notebook-", dir=short_folder()) as scratch:
        isolate(Path(scratch))
        check(arguments.notebook, arguments.parameters)
        note_input(arguments.notebook)  # its current content, even if edited during the run
        # record the kernel's inputs and outputs under this command
        readings = Path(scratch) / "readings.jsonl"
        os.environ[COMMAND_VARIABLE] = json.dumps([sys.argv, [__file__, str(arguments.notebook)]])
        os.environ[READINGS_VARIABLE] = str(readings)
        text, failure = execute(arguments.notebook, arguments.parameters, Path(scratch))
        del os.environ[READINGS_VARIABLE]
        note_readings(readings)
    write_text(arguments.executed, text)
    if failure:
        raise UserError(
            f"{arguments.notebook}, {failure}\nThe executed notebook, {arguments.executed}, shows the error at its "
            f"cell. Fix {arguments.notebook} or the module named above, then run the same command again."
        )
    write_text(arguments.html, page(text, arguments.html.stem))


def short_folder() -> str | None:
    """The folder for temporary files, or /tmp if socket paths would exceed 107 bytes there."""
    return "/tmp" if len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER else None  # noqa: S108 (a random name is added)


def isolate(scratch: Path) -> None:
    """Ignore the user's Jupyter and IPython settings."""
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_PATH", "JUPYTER_RUNTIME_DIR"):
        folder = scratch / variable.lower()
        folder.mkdir()
        os.environ[variable] = str(folder)
    # the kernel starts like the jobs
    kernel = scratch / "jupyter_path/kernels/python3"
    kernel.mkdir(parents=True)
    launcher = [sys.executable, "-IS", str(PRELOADED), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    specification = {"argv": launcher, "display_name": "Python 3 (ipykernel)", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(specification), encoding="utf-8")
    # a kernel reports the interrupt by which Jupyter ends it as an error
    profile = scratch / "ipythondir/profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.json").write_text('{"Application": {"log_level": "CRITICAL"}}', encoding="utf-8")


def check(notebook: Path, parameters: dict) -> None:
    """Reject unknown parameters, and values whose type differs from the notebook's defaults.

    Raises:
        UserError: the text names the parameter, the value and the allowed ones; or the file, if it is not a notebook.
    """
    import nbformat  # see execute()

    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (ValueError, nbformat.ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{notebook} is not a Jupyter notebook: {reason}; expected is an .ipynb file as Jupyter writes it. "
            "Restore it, or name another one."
        ) from error
    sources = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    assignments = [node for source in sources for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    own = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in assignments}
    for name, value in parameters.items():
        if name not in own:
            raise unknown_name(f"parameter of {notebook}", name, own)
        default = own[name]
        if not isinstance(value, type(default)):
            raise UserError(
                f"parameter {name} of {notebook} is {json.dumps(value)}, expected a value such as "
                f"{json.dumps(default)}. Correct it in --parameters."
            )


def execute(notebook: Path, parameters: dict, scratch: Path) -> tuple[str, str | None]:
    """Run every cell in a fresh kernel, in the current folder.

    Returns:
        the executed notebook as JSON, and a description of the failure (cell, error, traceback) or ``None``.
    """
    import nbformat  # Jupyter reads the variables set by isolate() when it is first imported
    from papermill.exceptions import PapermillExecutionError, strip_color
    from papermill.execute import execute_notebook
    from traitlets.config import Config

    private = Config(KernelManager={"transport": "ipc", "connection_file": str(scratch / "kernel.json")})
    executed, failure = scratch / "executed.ipynb", None
    try:
        execute_notebook(
            notebook, executed, parameters, kernel_name="python3", language="python", progress_bar=False, config=private
        )
    except PapermillExecutionError as error:
        # show a UserError as one message, any other error with its traceback
        text = error.evalue if error.ename == UserError.__name__ else "\n".join(error.traceback)
        failure = f"cell [{error.exec_count}] failed:\n" + strip_color(text)
    content = nbformat.read(executed, as_version=4)
    for index, cell in enumerate(content.cells):  # papermill adds cells with random identifiers
        cell.id = f"cell-{index}"
    return nbformat.writes(content) + "\n", failure


def page(text: str, name: str) -> str:
    """Render the executed notebook as a self-contained HTML page with folded code, titled by heading and name."""
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    content = nbformat.reads(text, as_version=4)
    heading = content.cells[0].source.partition("\n")[0].lstrip("# ")
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"offline.html.j2": OFFLINE_PAGE})],
        template_file="offline.html.j2",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    injected = any("injected-parameters" in cell.metadata.get("tags", ()) for cell in content.cells)
    html, _ = exporter.from_notebook_node(content, {"metadata": {"name": f"{heading} ({name})"}, "injected": injected})
    return html


if __name__ == "__main__":
    run_program(main)
