# Pruning and correlation of every shard; the tidy tables that join shards and studies.


rule pruning:
    input:
        unpack(from_wildcards(grid.weights)),
        data=from_wildcards(grid.datasets),
        importance=from_wildcards(grid.pruning_importance),
    output:
        "results/runs/{study}/pruning/{criterion}/{shard}.csv",
    log:
        "results/logs/pruning/{study}/{criterion}/{shard}.log",
    wildcard_constraints:
        criterion="|".join(["random", *grid.estimators(CONFIGURATION)]),
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
        gpu=GPUS,
    params:
        code=from_wildcards(dependencies.pruning, OWN_ESTIMATORS),
        settings=from_wildcards(jobs.of_shard, PruningJob),
        importance=lambda wildcards, input: f"--importance {input.importance}" if input.importance else "",
    message:
        "Pruning {wildcards.study} by {wildcards.criterion} ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/pruning.py --criterion {wildcards.criterion} --data {input.data} '
        "--trained {input.parameters} {params.importance} --settings {params.settings:q} "
        "--threads {threads} --output {output} > {log} 2>&1"


rule correlation:
    input:
        importances=from_wildcards(grid.importances),
    output:
        table="results/runs/{study}/correlation/{shard}.csv",
        null="results/runs/{study}/correlation/{shard}.null.csv",
        used="results/runs/{study}/correlation/{shard}.used.csv",
    log:
        "results/logs/correlation/{study}/{shard}.log",
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
    params:
        code=dependencies.program("correlation"),
        settings=from_wildcards(jobs.correlation),
        importances=from_wildcards(grid.named_importances),
    message:
        "Correlating importances of {wildcards.study} ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/correlation.py --importance {params.importances} --settings {params.settings:q} '
        "--output {output.table} --null {output.null} --used {output.used} > {log} 2>&1"


rule study_table:
    input:
        tables=from_wildcards(grid.shard_tables),
    output:
        "results/summary/{study}/{table}.csv",
    log:
        "results/logs/summary/{study}/{table}.log",
    wildcard_constraints:
        table="|".join(grid.SHARD_TABLES),
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=dependencies.program("summary"),
    message:
        "Joining the shards of {wildcards.study}: {wildcards.table}"
    shell:
        'python "$WORKFLOW"/scripts/summary.py --table {wildcards.table} --output {output} {input.tables} > {log} 2>&1'


rule selected_lambda:
    input:
        retention="results/summary/{study}/retention.csv",
    output:
        "results/summary/{study}/selected_lambda.csv",
    log:
        "results/logs/selected_lambda/{study}.log",
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=dependencies.program("selected_lambda"),
        split=from_wildcards(jobs.selected_on),
    message:
        "Selecting lambda of {wildcards.study} on {params.split} data"
    shell:
        'python "$WORKFLOW"/scripts/selected_lambda.py --retention {input.retention} --split {params.split} '
        "--output {output} > {log} 2>&1"


use rule study_table as summary_table with:
    input:
        tables=from_wildcards(grid.study_tables),
    output:
        "results/summary/{table}.csv",
    log:
        "results/logs/summary/{table}.log",
    wildcard_constraints:
        table="|".join(grid.STAGE_OF),
    params:
        code=dependencies.program("summary"),
    message:
        "Joining all studies: {wildcards.table}"
