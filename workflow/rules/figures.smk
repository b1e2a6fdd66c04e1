# Notebooks, executed for a study with the tables they need: pages to read, figures and LaTeX tables for the paper. An
# executed notebook is a log, so that it survives a failing cell and shows the error in its place.


rule notebook_correlation:
    input:
        **notebook_input("correlation"),
    output:
        html=reported_page("correlation"),
        figures=reported_figures("correlation"),
        tables=tables("correlation"),
    log:
        notebook="results/notebooks/correlation-{study}.ipynb",
        messages="results/logs/notebook/correlation/{study}.log",
    benchmark:
        "results/benchmarks/notebook/correlation/{study}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(20),
    params:
        parameters=notebook_parameters("correlation"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"
    shell:
        "python workflow/scripts/notebook.py --notebook {input.notebook} --parameters {params.parameters:q} "
        "--executed {log.notebook} --html {output.html} > {log.messages} 2>&1"


use rule notebook_correlation as notebook_retention with:
    input:
        **notebook_input("retention"),
    output:
        html=reported_page("retention"),
        figures=reported_figures("retention"),
        tables=tables("retention"),
    log:
        notebook="results/notebooks/retention-{study}.ipynb",
        messages="results/logs/notebook/retention/{study}.log",
    benchmark:
        "results/benchmarks/notebook/retention/{study}.tsv"
    params:
        parameters=notebook_parameters("retention"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"


use rule notebook_correlation as notebook_controls with:
    input:
        **notebook_input("controls"),
    output:
        html=reported_page("controls"),
        figures=reported_figures("controls"),
        tables=tables("controls"),
    log:
        notebook="results/notebooks/controls-{study}.ipynb",
        messages="results/logs/notebook/controls/{study}.log",
    benchmark:
        "results/benchmarks/notebook/controls/{study}.tsv"
    params:
        parameters=notebook_parameters("controls"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"


use rule notebook_correlation as notebook_atlas with:
    input:
        **notebook_input("atlas"),
    output:
        html=reported_page("atlas"),
        figures=reported_figures("atlas"),
        tables=tables("atlas"),
    log:
        notebook="results/notebooks/atlas-{study}.ipynb",
        messages="results/logs/notebook/atlas/{study}.log",
    benchmark:
        "results/benchmarks/notebook/atlas/{study}.tsv"
    params:
        parameters=notebook_parameters("atlas"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"


use rule notebook_correlation as notebook_pruning with:
    input:
        **notebook_input("pruning"),
    output:
        html=reported_page("pruning"),
        figures=reported_figures("pruning"),
        tables=tables("pruning"),
    log:
        notebook="results/notebooks/pruning-{study}.ipynb",
        messages="results/logs/notebook/pruning/{study}.log",
    benchmark:
        "results/benchmarks/notebook/pruning/{study}.tsv"
    params:
        parameters=notebook_parameters("pruning"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"


use rule notebook_correlation as notebook_estimators with:
    input:
        **notebook_input("estimators"),
    output:
        html=reported_page("estimators"),
        figures=reported_figures("estimators"),
        tables=tables("estimators"),
    log:
        notebook="results/notebooks/estimators-{study}.ipynb",
        messages="results/logs/notebook/estimators/{study}.log",
    benchmark:
        "results/benchmarks/notebook/estimators/{study}.tsv"
    params:
        parameters=notebook_parameters("estimators"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"


use rule notebook_correlation as notebook_explanation with:
    input:
        **notebook_input("explanation"),
    output:
        html=reported_page("explanation"),
        figures=reported_figures("explanation"),
        tables=tables("explanation"),
    log:
        notebook="results/notebooks/explanation-{study}.ipynb",
        messages="results/logs/notebook/explanation/{study}.log",
    benchmark:
        "results/benchmarks/notebook/explanation/{study}.tsv"
    params:
        parameters=notebook_parameters("explanation"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"


use rule notebook_correlation as notebook_variants with:
    input:
        **notebook_input("variants"),
    output:
        html=reported_page("variants"),
        figures=reported_figures("variants"),
        tables=tables("variants"),
    log:
        notebook="results/notebooks/variants-{study}.ipynb",
        messages="results/logs/notebook/variants/{study}.log",
    benchmark:
        "results/benchmarks/notebook/variants/{study}.tsv"
    params:
        parameters=notebook_parameters("variants"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"


use rule notebook_correlation as notebook_reproduction with:
    input:
        **notebook_input("reproduction"),
    output:
        html=reported_page("reproduction"),
        figures=reported_figures("reproduction"),
        tables=tables("reproduction"),
    log:
        notebook="results/notebooks/reproduction-{study}.ipynb",
        messages="results/logs/notebook/reproduction/{study}.log",
    benchmark:
        "results/benchmarks/notebook/reproduction/{study}.tsv"
    params:
        parameters=notebook_parameters("reproduction"),
    message:
        "Executing notebook {input.notebook} ({wildcards.study})"


# One page, complete in itself, to look at any two estimators. It reads importances themselves, of every study with
# networks of its own.
rule explorer:
    input:
        code=code(f"{SCRIPTS}/explorer.py", *configuration.estimators(), *OWN_ESTIMATORS),
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
        settings=explorer_settings(),
    message:
        "Writing the explorer"
    shell:
        "python workflow/scripts/explorer.py --template {input.template} --tables {input.tables} --runs results/runs "
        "--settings {params.settings:q} --output {output} > {log} 2>&1"
