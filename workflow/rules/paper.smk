# The paper: the numbers that its text quotes, then LaTeX.


rule paper_numbers:
    input:
        summaries=SUMMARIES,
        published=PUBLISHED,
    output:
        "results/paper/numbers.tex",
    log:
        "results/logs/paper_numbers.log",
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=dependencies.showing(OWN_ESTIMATORS, "workflow/scripts/paper_numbers.py"),
        settings=CONFIGURATION.sorted_json(),
    message:
        "Writing the numbers that the paper quotes"
    shell:
        'python "$WORKFLOW"/scripts/paper_numbers.py --settings {params.settings:q} --summary results/summary '
        '--published "$WORKFLOW"/resources/published --output {output} > {log} 2>&1'


rule paper:
    input:
        text=paper_text(),
        figures=FIGURES,
        tables=TABLES,
        numbers="results/paper/numbers.tex",
    output:
        report(
            "results/paper/main.pdf",
            category="Paper",
            labels={"document": "The paper (PDF)"},
            caption="../report/paper.rst",
        ),
    log:
        "results/logs/paper.log",
    conda:
        "../../envs/paper.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=dependencies.program("paper"),
    message:
        "Typesetting the paper"
    shell:
        'python "$WORKFLOW"/scripts/paper.py --text {input.text:q} --figures {input.figures} --tables {input.tables} '
        "--numbers {input.numbers} --build results/paper/build --output {output} > {log} 2>&1"
