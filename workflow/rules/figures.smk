# Notebooks, executed with the tables they need: pages to read, figures and LaTeX tables for the paper. An executed
# notebook is a log, so that it survives a failing cell and shows the error in its place.


rule notebook_correlation:
    input:
        **notebook_input("correlation"),
    output:
        html=report("results/notebooks/correlation.html", category="Notebooks", caption="../report/notebook.rst"),
        figures=[
            report(
                "results/figures/correlation_matrix.pdf",
                category="Figures",
                caption="../report/correlation_matrix.rst",
            ),
            report(
                "results/figures/correlation_matrix_spearman.pdf",
                category="Figures",
                caption="../report/correlation_matrix_spearman.rst",
            ),
            report(
                "results/figures/correlation_matrix_pearson_log.pdf",
                category="Figures",
                caption="../report/correlation_matrix_pearson_log.rst",
            ),
            report(
                "results/figures/correlation_matrix_overlap_top10.pdf",
                category="Figures",
                caption="../report/correlation_matrix_overlap_top10.rst",
            ),
            report(
                "results/figures/correlation_null.pdf", category="Figures", caption="../report/correlation_null.rst"
            ),
        ],
        tables=["results/tables/correlation.tex", "results/tables/correlation_coefficients.tex"],
    log:
        notebook="results/notebooks/correlation.ipynb",
        messages="results/logs/notebook/correlation.log",
    benchmark:
        "results/benchmarks/notebook/correlation.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=20,
    params:
        parameters=notebook_parameters("correlation"),
    message:
        "Executing notebook {input.notebook}"
    shell:
        "python workflow/scripts/notebook.py --notebook {input.notebook} --parameters {params.parameters:q} "
        "--executed {log.notebook} --html {output.html} > {log.messages} 2>&1"


use rule notebook_correlation as notebook_retention with:
    input:
        **notebook_input("retention"),
    output:
        html=report("results/notebooks/retention.html", category="Notebooks", caption="../report/notebook.rst"),
        figures=[
            report(
                "results/figures/retention_lambda.pdf", category="Figures", caption="../report/retention_lambda.rst"
            ),
            report("results/figures/retention_tasks.pdf", category="Figures", caption="../report/retention_tasks.rst"),
        ],
        tables=["results/tables/retention.tex", "results/tables/published.tex"],
    log:
        notebook="results/notebooks/retention.ipynb",
        messages="results/logs/notebook/retention.log",
    benchmark:
        "results/benchmarks/notebook/retention.tsv"
    params:
        parameters=notebook_parameters("retention"),


use rule notebook_correlation as notebook_pruning with:
    input:
        **notebook_input("pruning"),
    output:
        html=report("results/notebooks/pruning.html", category="Notebooks", caption="../report/notebook.rst"),
        figures=[
            report("results/figures/pruning.pdf", category="Figures", caption="../report/pruning.rst"),
        ],
        tables=["results/tables/pruning.tex"],
    log:
        notebook="results/notebooks/pruning.ipynb",
        messages="results/logs/notebook/pruning.log",
    benchmark:
        "results/benchmarks/notebook/pruning.tsv"
    params:
        parameters=notebook_parameters("pruning"),


use rule notebook_correlation as notebook_estimators with:
    input:
        **notebook_input("estimators"),
    output:
        html=report("results/notebooks/estimators.html", category="Notebooks", caption="../report/notebook.rst"),
        figures=[
            report(
                "results/figures/estimator_scatter.pdf", category="Figures", caption="../report/estimator_scatter.rst"
            ),
            report(
                "results/figures/estimator_factors.pdf", category="Figures", caption="../report/estimator_factors.rst"
            ),
        ],
        tables=["results/tables/estimators.tex", "results/tables/estimator_factors.tex"],
    log:
        notebook="results/notebooks/estimators.ipynb",
        messages="results/logs/notebook/estimators.log",
    benchmark:
        "results/benchmarks/notebook/estimators.tsv"
    params:
        parameters=notebook_parameters("estimators"),
