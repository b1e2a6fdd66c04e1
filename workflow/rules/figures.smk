# Notebooks, executed for every study that lists their analysis: pages, figures, and LaTeX tables for the paper. The
# executed notebook is a log, so that it survives a failing cell and shows the error in its place.

for name, notebook in REGISTRY.items():

    rule:
        name:
            f"notebook_{name}"
        input:
            notebook=places.source(f"notebooks/{name}.ipynb"),
            summaries=from_wildcards(notebooks.summaries, notebook),
            importances=from_wildcards(notebooks.importances, notebook),
            published=notebooks.published(notebook),
        output:
            html=reported_page(name, notebook),
            figures=reported_figures(notebook),
            tables=notebooks.tables(notebook),
        log:
            notebook=f"results/notebooks/{name}-{{study}}.ipynb",
            messages=f"results/logs/notebook/{name}/{{study}}.log",
        conda:
            "../../envs/workflow.yaml"
        threads: 1
        resources:
            mem_mb=growing(3000),
            runtime=growing(20),
        params:
            code=from_wildcards(dependencies.notebook, OWN_ESTIMATORS, name, notebook),
            parameters=from_wildcards(jobs.notebook, notebook),
        message:
            f"Executing notebook notebooks/{name}.ipynb ({{wildcards.study}})"
        shell:
            'python "$WORKFLOW"/scripts/notebook.py --notebook {input.notebook:q} --parameters {params.parameters:q} '
            "--executed {log.notebook} --html {output.html} > {log.messages} 2>&1"


# A self-contained page to compare any two estimators. It reads the importances of every study that trains networks.
rule explorer:
    input:
        template=sorted(map(str, Path(places.source("workflow/explorer")).iterdir())),
        tables=grid.explorer_tables(CONFIGURATION),
        importances=grid.explorer_importances(CONFIGURATION),
    output:
        report(
            "results/explorer.html",
            category="Explorer",
            labels={"page": "Any two estimators, layer by layer"},
            caption="../report/explorer.rst",
        ),
    log:
        "results/logs/explorer.log",
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        code=dependencies.showing(OWN_ESTIMATORS, "workflow/scripts/explorer.py"),
        settings=jobs.explorer(CONFIGURATION),
    message:
        "Writing the explorer"
    shell:
        'python "$WORKFLOW"/scripts/explorer.py --template {input.template:q} --tables {input.tables} --runs results/runs '
        "--settings {params.settings:q} --output {output} > {log} 2>&1"
