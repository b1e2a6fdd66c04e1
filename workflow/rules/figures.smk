# Notebooks, executed for a study with the tables they need: pages to read, figures and LaTeX tables for the paper. An
# executed notebook is a log, so that it survives a failing cell and shows the error in its place.


rule notebook_correlation:
    input:
        **notebook_input("correlation"),
    output:
        html=report(
            "results/notebooks/correlation-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
        html=report(
            "results/notebooks/retention-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
        html=report(
            "results/notebooks/controls-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
        html=report(
            "results/notebooks/atlas-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
        html=report(
            "results/notebooks/pruning-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
        html=report(
            "results/notebooks/estimators-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
        html=report(
            "results/notebooks/explanation-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
        html=report(
            "results/notebooks/variants-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
        html=report(
            "results/notebooks/reproduction-{study}.html",
            category="Notebooks",
            subcategory="{study}",
            caption="../report/notebook.rst",
        ),
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
