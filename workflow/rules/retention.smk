# Sequential learning of the later tasks under one estimator's importances or an ablation, with all penalty strengths in
# one process. The program keeps finished strengths in hidden files next to its output, so only new strengths are
# computed when the list grows.


rule retention:
    input:
        unpack(from_wildcards(grid.weights)),
        data=from_wildcards(grid.datasets),
        importance=from_wildcards(grid.penalty_importances),
    output:
        "results/runs/{study}/retention/{estimator}/{shard}.csv",
    log:
        "results/logs/retention/{study}/{estimator}/{shard}.log",
    wildcard_constraints:
        estimator="|".join(
            map(re.escape, [*UNPENALISED, L2, *grid.estimators(CONFIGURATION), *grid.ablations(CONFIGURATION)])
        ),
    priority: 1  # longest jobs first, so that none runs alone at the end
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=growing(480),
        gpu=GPUS,
    params:
        code=from_wildcards(dependencies.retention, OWN_ESTIMATORS),
        settings=from_wildcards(jobs.retention),
        estimator=from_wildcards(grid.condition),
        importance=lambda wildcards, input: f"--importance {input.importance}" if input.importance else "",
    message:
        "Learning the later tasks of {wildcards.study} under {wildcards.estimator} ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/retention.py --estimator {params.estimator:q} --data {input.data} '
        "--trained {input.parameters} {params.importance} --settings {params.settings:q} "
        "--threads {threads} --output {output} > {log} 2>&1"
