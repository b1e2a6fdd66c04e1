# Notebooks, executed for a study with the tables they need: pages to read, figures and LaTeX tables for the paper. An
# executed notebook is a log, so that it survives a failing cell and shows the error in its place.


for notebook in NOTEBOOKS:

    rule:
        name:
            f"notebook_{notebook}"
        input:
            **notebook_input(notebook),
        output:
            html=reported_page(notebook),
            figures=reported_figures(notebook),
            tables=tables(notebook),
        log:
            notebook=f"results/notebooks/{notebook}-{{study}}.ipynb",
            messages=f"results/logs/notebook/{notebook}/{{study}}.log",
        benchmark:
            f"results/benchmarks/notebook/{notebook}/{{study}}.tsv"
        conda:
            "../../envs/workflow.yaml"
        threads: 1
        resources:
            mem_mb=growing(3000),
            runtime=growing(20),
        params:
            code=notebook_code(notebook),
            parameters=notebook_parameters(notebook),
        message:
            "Executing notebook {input.notebook} ({wildcards.study})"
        shell:
            "python workflow/scripts/notebook.py --notebook {input.notebook} --parameters {params.parameters:q} "
            "--executed {log.notebook} --html {output.html} > {log.messages} 2>&1"


# One page, complete in itself, to look at any two estimators. It reads importances themselves, of every study with
# networks of its own.
rule explorer:
    input:
        template=EXPLORER_TEMPLATE,
        tables=EXPLORER_TABLES,
        importances=explorer_importances(),
    output:
        report(
            "results/explorer.html",
            category="Explorer",
            labels={"page": "Any two estimators, layer by layer"},
            caption="../report/explorer.rst",
        ),
    log:
        "results/logs/explorer.log",
    benchmark:
        "results/benchmarks/explorer.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        code=code(f"{SCRIPTS}/explorer.py", *known.estimators(), *OWN_ESTIMATORS, shown=True),
        settings=explorer_settings(),
    message:
        "Writing the explorer"
    shell:
        "python workflow/scripts/explorer.py --template {input.template} --tables {input.tables} --runs results/runs "
        "--settings {params.settings:q} --output {output} > {log} 2>&1"
