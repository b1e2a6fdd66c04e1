# Importances of the trained networks' parameters, by one estimator.


rule importance:
    input:
        code=lambda wildcards: code(f"{SCRIPTS}/importance.py", wildcards.estimator),
        data=dataset,
        parameters="results/runs/{study}/baseline/{shard}.safetensors",
        path="results/runs/{study}/baseline/{shard}.path.safetensors",
    output:
        "results/runs/{study}/importance/{estimator}/{shard}.safetensors",
    log:
        "results/logs/importance/{study}/{estimator}/{shard}.log",
    benchmark:
        "results/benchmarks/importance/{study}/{estimator}/{shard}.tsv"
    wildcard_constraints:
        estimator="|".join(config["estimators"]),
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        settings=lambda wildcards: settings(wildcards, "network", "tasks", "images", "importance"),
    message:
        "Computing {wildcards.estimator} of {wildcards.study} ({wildcards.shard})"
    shell:
        "python workflow/scripts/importance.py --estimator {wildcards.estimator} --data {input.data} "
        "--parameters {input.parameters} --path {input.path} --settings {params.settings:q} --threads {threads} "
        "--output {output} > {log} 2>&1"
