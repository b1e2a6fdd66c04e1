"""Pages of the documentation site that are not in docs/: MkDocs calls these functions (hooks in mkdocs.yml).

Every file keeps its path in the repository, so links between Markdown files need no change. Source files to which a
page links become pages with their text; the API pages are made from docstrings, and the pages of results from results/
and reference/ as they are now. Nothing of the package is imported.
"""

import ast
import re
from collections.abc import Iterator
from html import escape
from io import BytesIO
from pathlib import Path

import pypdfium2
import yaml
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url
from PIL.Image import Image

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src/weight_importance"
RESULTS = REPOSITORY / "results"

FOLDERS = ("", "docs", "config", "results", "benchmarks", "benchmarks/results/*", "reference/*", "workflow/resources/*")
"""The folders whose Markdown files are pages."""

ASSETS = ("docs/site/style.css", "docs/site/iframe-worker.js")
LINK = re.compile(r"\]\(([^()\s#:]+)(?=[)#])")
SOURCE_SUFFIXES = (".py", ".cff", ".toml", ".yaml", "")
PIXELS_PER_POINT = 2
KINDS = {
    "MomentEstimator": "Moments of per-sample gradients",
    "PathEstimator": "Records of optimiser steps",
    "CurvatureEstimator": "Diagonal of the Hessian",
    "StateEstimator": "Weights and activations",
}
RETURNED = {"factored": "estimators.factored.Factors", "record": "estimators.recording.Recording"}
"""Public function → the class of what it returns, described on the same page."""

UNCOMPUTED = "has not been computed in this checkout: run `make paper`, then `make docs`"


def public_names() -> list[str]:
    """The names in ``__all__`` of the package, the catalogue (a page by itself) excepted."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [name for name in ast.literal_eval(node.value) if name != "ESTIMATORS"]
    raise ValueError("weight_importance has no __all__")


def on_config(config: MkDocsConfig) -> None:
    """Enter the API pages into the navigation."""
    library = next(section["Library"] for section in config.nav if "Library" in section)
    api = next(entry for entry in library if "API" in entry)
    pages = [{name: f"api/{name}.md"} for name in sorted(public_names(), key=str.lower)]
    api["API"] = [*pages, {"Kinds of estimator": "api/kinds.md"}]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All files of the site, by their paths in the repository; of ``files``, only those of the theme remain."""
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    texts = {
        path.relative_to(REPOSITORY).as_posix(): path.read_text("utf-8")
        for folder in FOLDERS
        for path in sorted(REPOSITORY.glob(f"{folder}/*.md" if folder else "*.md"))
    }
    site = {name: File.generated(config, name, content=text) for name, text in (texts | generated()).items()}
    for name in {*ASSETS, *linked(texts)}:
        if name in site:
            continue
        if is_source(name):
            site[f"{name}.md"] = File.generated(config, f"{name}.md", content=source_page(name))
        else:
            site[name] = File.generated(config, name, abs_src_path=str(REPOSITORY / name))
    for name, file in finished_files().items():
        site[name] = File.generated(config, name, abs_src_path=str(file))
    for name, content in pictures().items():
        site[name] = File.generated(config, name, content=content)
    for file in site.values():
        files.append(file)
    return files


def linked(texts: dict[str, str]) -> Iterator[str]:
    """The existing files of the repository to which these pages link, by their paths in it."""
    for name, text in texts.items():
        for address in LINK.findall(text):
            file = (REPOSITORY / name).parent.joinpath(address).resolve()
            if file.is_file():
                yield file.relative_to(REPOSITORY).as_posix()


def is_source(name: str) -> bool:
    """Whether a file is shown as a page with its text."""
    return Path(name).suffix in SOURCE_SUFFIXES


def source_page(name: str) -> str:
    """A source file as a page."""
    language = {".py": "python", ".yaml": "yaml", ".cff": "yaml", ".toml": "toml"}.get(Path(name).suffix, "text")
    text = (REPOSITORY / name).read_text("utf-8")
    return f"# {name}\n\n````{language}\n{text}````\n"


def on_page_markdown(markdown: str, **_) -> str:
    """Lead links to source files to the pages that show them."""

    def page(match: re.Match[str]) -> str:
        address = match[1]
        return f"]({address}.md" if is_source(address) and not address.endswith("/") else match[0]

    return LINK.sub(page, markdown)


def on_page_content(html: str, page: Page, **_) -> str:
    """Roles of reStructuredText in docstrings become links to API pages, or plain code."""
    addresses = {name: f"api/{name}.html" for name in public_names()} | {"ESTIMATORS": "estimators.html"}

    def reference(match: re.Match[str]) -> str:
        name = match[1].removeprefix("weight_importance.")
        if name not in addresses:
            return f"<code>{match[1]}</code>"
        return f'<a href="{get_relative_url(addresses[name], page.url)}"><code>{name}</code></a>'

    return re.sub(r":(?:func|class|meth|data|mod):<code>([^<]*)</code>", reference, html)


def generated() -> dict[str, str]:
    """Pages without a Markdown file: API, catalogue, results, gallery."""
    pages = {f"api/{name}.md": f"::: weight_importance.{name}\n" for name in public_names()}
    for name, returned in RETURNED.items():
        pages[f"api/{name}.md"] += f"\n::: weight_importance.{returned}\n    options:\n      heading_level: 2\n"
    pages["api/kinds.md"] = "::: weight_importance.estimators.kinds\n"
    return pages | {"estimators.md": catalogue(), "results.md": results(), "gallery.md": gallery()}


def catalogue() -> str:
    """All estimators with their formulas and sources, from the modules of the catalogue."""
    sections: dict[str, list[str]] = {kind: [] for kind in KINDS}
    references = bibliography((REPOSITORY / "paper/references.bib").read_text("utf-8"))
    for file in sorted((PACKAGE / "estimators/catalogue").glob("[a-z]*.py")):
        module = ast.parse(file.read_text("utf-8"))
        definition = next(
            node.value
            for node in module.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ESTIMATOR"
        )
        given = {keyword.arg: keyword.value for keyword in definition.keywords}
        label, formula, source = (ast.literal_eval(given[key]) for key in ("label", "formula", "source"))
        description = ast.get_docstring(module)
        sections[definition.func.id].append(
            f"### {label}\n\n`{file.stem}`\n\n{formula_block(formula)}\n\n{description}\n\n"
            f"Source: {references[source]}\n"
        )
    parts = [f"## {title}\n\n" + "\n".join(sections[kind]) for kind, title in KINDS.items()]
    return (
        "# Estimators\n\nThe names below are the keys of `weight_importance.ESTIMATORS`, as "
        "[`estimate`](api/estimate.md) takes them; those under “Records of optimiser steps” go to "
        "[`record`](api/record.md). θ is one parameter, p the network's class probabilities, z its logits, "
        "x the inputs, y the labels. The [method](docs/method.md) explains the kinds.\n\n" + "\n".join(parts)
    )


def formula_block(formula: str) -> str:
    """LaTeX as MathML, which browsers draw without a script."""
    sizes = re.sub(r"\\[bB]ig[lr]?(?=\\[lr]vert)", "", formula)  # unknown to the converter
    spaced = re.sub(r"\\log ", r"\\log\\, ", sizes)  # MathML has no space between an operator and its argument
    return f'<div class="formula" tabindex="0">{convert(spaced, display="block")}</div>'


def bibliography(text: str) -> dict[str, str]:
    """BibTeX key → reference in Markdown, with a link to the DOI or arXiv."""
    references = {}
    for key, body in re.findall(r"^@\w+\{(\S+),\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        found = re.findall(r"^\s*(\w+)\s*=\s*\{(.*?)\},?\s*(?=^\s*\w+\s*=|\Z)", body, re.MULTILINE | re.DOTALL)
        fields = {name: plain(value) for name, value in found}
        names = [author.partition(",")[0] for author in fields["author"].split(" and ")]
        authors = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
        place = fields.get("journal") or fields.get("booktitle") or fields.get("publisher", "")
        arxiv = re.search(r"arXiv:(\d{4}\.\d{4,5})", " ".join(fields.values()))
        address = (
            f"https://doi.org/{fields['doi']}" if "doi" in fields else arxiv and f"https://arxiv.org/abs/{arxiv[1]}"
        )
        title = f"[{fields['title']}]({address})" if address else fields["title"]
        references[key] = f"{authors} ({fields['year']}). {title}. {place}"
    return references


def plain(value: str) -> str:
    """A BibTeX value as text: accents of LaTeX as letters, without braces."""
    accents = {"'": "\u0301", '"': "\u0308", "`": "\u0300", "^": "\u0302", "~": "\u0303", "v": "\u030c", "c": "\u0327"}
    value = re.sub(r"\{?\\(['\"`^~vc])\s*\{?\\?([A-Za-z])\}?\}?", lambda match: match[2] + accents[match[1]], value)
    return re.sub(r"\s+", " ", re.sub(r"[{}]", "", value)).replace("--", "\u2013").strip()


def finished_files() -> dict[str, Path]:
    """Path in the site → file, of the paper, the explorer, the notebooks and the figures that exist."""
    found = {
        f"finished/{name}": file
        for name in ("paper/main.pdf", "explorer.html")
        for file in (RESULTS / name, *sorted(REPOSITORY.glob(f"reference/**/{Path(name).name}")))[::-1]
        if file.is_file()
    }
    for pattern in ("notebooks/*.html", "figures/*.pdf"):
        found |= {f"finished/{file.relative_to(RESULTS).as_posix()}": file for file in sorted(RESULTS.glob(pattern))}
    return found


def results() -> str:
    """The page that leads to the paper, the explorer and the notebooks, or says what is missing."""
    found, lines = finished_files(), ["# Paper, explorer, notebooks", ""]
    for name, title in (("paper/main.pdf", "The paper (PDF)"), ("explorer.html", "The explorer, an interactive page")):
        file = found.get(f"finished/{name}")
        if file is None:
            lines.append(f"- {title} {UNCOMPUTED}.")
        else:
            origin = (
                "this checkout's run" if file.is_relative_to(RESULTS) else f"`{file.parent.relative_to(REPOSITORY)}`"
            )
            lines.append(f"- [{title}](finished/{name}), of {origin}")
    lines += ["- [Gallery of figures](gallery.md)", "- [Tables](results/README.md)", "", "## Executed notebooks", ""]
    notebooks = [name for name in found if name.startswith("finished/notebooks/")]
    titles = {key: entry["title"] for key, entry in registry().items()}
    for name in notebooks:
        notebook, _, study = Path(name).stem.partition("-")
        lines.append(f"- [{titles.get(notebook, notebook)}: `{study}`]({name})")
    if not notebooks:
        lines.append(f"The notebook of each study {UNCOMPUTED}.")
    return "\n".join([*lines, ""])


def registry() -> dict[str, dict]:
    """The notebooks with their figures."""
    return yaml.safe_load((REPOSITORY / "notebooks/registry.yaml").read_text("utf-8"))


def figures() -> dict[str, Path]:
    """Name → PDF file, of the figures that exist."""
    return {file.stem: file for file in sorted(RESULTS.glob("figures/*.pdf"))}


def pictures() -> dict[str, bytes]:
    """Path in the site → PNG file, of every figure."""
    images = {}
    for name, file in figures().items():
        with pypdfium2.PdfDocument(file) as document:
            images[f"finished/pictures/{name}.png"] = png(document[0].render(scale=PIXELS_PER_POINT).to_pil())
    return images


def png(image: Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def gallery() -> str:
    """All figures with their captions; without a run, the pictures of docs/, of the default configuration."""
    parts, drawn = ["# Gallery of figures", ""], figures()
    for entry in registry().values():
        for name, figure in entry.get("figures", {}).items():
            studies = [each for each in drawn if each.partition("-")[0] == name]
            if not studies:
                continue
            parts += [f"## {figure['title']}", "", figure["caption"], ""]
            for each in studies:
                study = each.partition("-")[2]
                picture = f"![{figure['title']}, study {study}](finished/pictures/{each}.png){{ .figure loading=lazy }}"
                parts += [f"`{study}` ([PDF](finished/figures/{each}.pdf))", "", picture, ""]
    if not drawn:
        parts += [f"The full gallery {UNCOMPUTED}. These pictures are of the default configuration.", ""]
        parts += [
            f"![{escape(text)}](docs/{name})\n"
            for page in ("README.md", "docs/reading.md")
            for text, name in re.findall(
                r"!\[([^\]]+)\]\((?:docs/)?(\w[\w-]*\.png)\)", (REPOSITORY / page).read_text("utf-8")
            )
        ]
    return "\n".join([*parts, ""])
