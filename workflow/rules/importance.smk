# Importances of the trained networks' parameters, by one estimator, on training or on test images.


rule importance:
    input:
        unpack(from_wildcards(grid.networks)),
        data=from_wildcards(grid.datasets),
    output:
        "results/runs/{study}/{part}/{estimator}/{shard}.safetensors",
    log:
        "results/logs/{part}/{study}/{estimator}/{shard}.log",
    wildcard_constraints:
        estimator="|".join(grid.estimators(CONFIGURATION)),
        part="importance|importance_test",
    priority: 2  # short, and long retention jobs wait for it
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
        gpu=GPUS,
    params:
        code=from_wildcards(dependencies.importance, OWN_ESTIMATORS),
        settings=from_wildcards(jobs.importance),
    message:
        "Computing {wildcards.estimator} of {wildcards.study} for {wildcards.part} ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/importance.py --estimator {wildcards.estimator} --data {input.data} '
        "--trained {input.parameters} --settings {params.settings:q} "
        "--threads {threads} --output {output} > {log} 2>&1"
