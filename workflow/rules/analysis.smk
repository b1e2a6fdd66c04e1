# What is read off networks and importances: pruning, correlation, and the tidy tables that join all shards.


rule pruning:
    input:
        code=code(f"{SCRIPTS}/pruning.py"),
        data=dataset,
        parameters="results/runs/{study}/baseline/{shard}.safetensors",
        importance=lambda wildcards: importances(wildcards, wildcards.criterion),
    output:
        "results/runs/{study}/pruning/{criterion}/{shard}.csv",
    log:
        "results/logs/pruning/{study}/{criterion}/{shard}.log",
    benchmark:
        "results/benchmarks/pruning/{study}/{criterion}/{shard}.tsv"
    wildcard_constraints:
        criterion="|".join(["random", *config["estimators"]]),
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        settings=lambda wildcards: settings(wildcards, "network", "tasks", "images", "pruning"),
        importance=lambda wildcards, input: f"--importance {input.importance}" if input.importance else "",
    message:
        "Pruning {wildcards.study} by {wildcards.criterion} ({wildcards.shard})"
    shell:
        "python workflow/scripts/pruning.py --criterion {wildcards.criterion} --data {input.data} "
        "--parameters {input.parameters} {params.importance} --settings {params.settings:q} --threads {threads} "
        "--output {output} > {log} 2>&1"


rule correlation:
    input:
        code=code(f"{SCRIPTS}/correlation.py"),
        importances=lambda wildcards: [importances(wildcards, name) for name in sorted(config["estimators"])],
    output:
        table="results/runs/{study}/correlation/{shard}.csv",
        null="results/runs/{study}/correlation/{shard}.null.csv",
    log:
        "results/logs/correlation/{study}/{shard}.log",
    benchmark:
        "results/benchmarks/correlation/{study}/{shard}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        settings=lambda wildcards: compact(
            {"study": wildcards.study, "seeds": seeds(wildcards.shard)} | config["correlation"]
        ),
        importances=lambda wildcards: [
            f"{name}={importances(wildcards, name)}" for name in sorted(config["estimators"])
        ],
    message:
        "Correlating importances of {wildcards.study} ({wildcards.shard})"
    shell:
        "python workflow/scripts/correlation.py --importance {params.importances} --settings {params.settings:q} "
        "--output {output.table} --null {output.null} > {log} 2>&1"


rule summary_table:
    input:
        code=code(f"{SCRIPTS}/summary.py"),
        tables=lambda wildcards: shard_tables(wildcards.table),
    output:
        "results/summary/{table}.csv",
    log:
        "results/logs/summary/{table}.log",
    benchmark:
        "results/benchmarks/summary/{table}.tsv"
    wildcard_constraints:
        table="|".join(SHARD_TABLES),
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    message:
        "Joining the shards of {wildcards.table}"
    shell:
        "python workflow/scripts/summary.py --table {wildcards.table} --output {output} {input.tables} > {log} 2>&1"


rule selected_lambda:
    input:
        code=code(f"{SCRIPTS}/selected_lambda.py"),
        retention="results/summary/retention.csv",
    output:
        "results/summary/selected_lambda.csv",
    log:
        "results/logs/selected_lambda.log",
    benchmark:
        "results/benchmarks/selected_lambda.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    message:
        "Choosing lambda on validation data"
    shell:
        "python workflow/scripts/selected_lambda.py --retention {input.retention} --output {output} > {log} 2>&1"
