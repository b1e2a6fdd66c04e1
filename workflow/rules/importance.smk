# Importances of the trained networks' parameters, by one estimator, on training or on test images.


rule importance:
    input:
        unpack(lambda wildcards: networks(wildcards, "parameters", "state", "path")),
        data=datasets,
    output:
        "results/runs/{study}/{part}/{estimator}/{shard}.safetensors",
    log:
        "results/logs/{part}/{study}/{estimator}/{shard}.log",
    benchmark:
        "results/benchmarks/{part}/{study}/{estimator}/{shard}.tsv"
    wildcard_constraints:
        estimator="|".join(ESTIMATORS),
        part="importance|importance_test",
    priority: 2  # short, and the long jobs of retention wait for it
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(60),
        gpu=GPUS,
    params:
        code=lambda wildcards: code(f"{SCRIPTS}/importance.py", wildcards.estimator),
        settings=lambda wildcards: settings(wildcards.study, wildcards.shard, *TASKS, "importance"),
        images=lambda wildcards: "test" if wildcards.part == "importance_test" else "training",
    message:
        "Computing {wildcards.estimator} of {wildcards.study} on {params.images} images ({wildcards.shard})"
    shell:
        "python workflow/scripts/importance.py --estimator {wildcards.estimator} --data {input.data} "
        "--part {params.images} --parameters {input.parameters} --state {input.state} --path {input.path} "
        "--settings {params.settings:q} --threads {threads} --output {output} > {log} 2>&1"
