# Training on the first task, all seeds of a shard at once, and evaluation of the trained networks.


rule train:
    input:
        data=of(grid.first_dataset),
    output:
        parameters="results/runs/{study}/baseline/{shard}.safetensors",
        state="results/runs/{study}/baseline/{shard}.state.safetensors",
        path="results/runs/{study}/baseline/{shard}.path.safetensors",
    log:
        "results/logs/train/{study}/{shard}.log",
    benchmark:
        "results/benchmarks/train/{study}/{shard}.tsv"
    priority: 2  # short, and the long jobs of retention wait for it
    conda:
        "../../envs/workflow.yaml"
    # One thread per job: jobs side by side use the cores best, and results do not depend on the number of cores.
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(120),
        gpu=GPUS,
    params:
        code=of(dependencies.on_tasks, "train"),
        settings=of(jobs.train, records),
    message:
        "Training {wildcards.study} on its first task ({wildcards.shard})"
    shell:
        "python workflow/scripts/train.py --data {input.data} --settings {params.settings:q} --threads {threads} "
        "--parameters {output.parameters} --state {output.state} --path {output.path} > {log} 2>&1"


rule evaluate:
    input:
        unpack(of(grid.weights)),
        data=of(grid.first_dataset),
    output:
        "results/runs/{study}/baseline/{shard}.csv",
    log:
        "results/logs/evaluate/{study}/{shard}.log",
    benchmark:
        "results/benchmarks/evaluate/{study}/{shard}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
        gpu=GPUS,
    params:
        code=of(dependencies.on_tasks, "evaluate"),
        settings=of(jobs.evaluate),
    message:
        "Evaluating {wildcards.study} on its first task ({wildcards.shard})"
    shell:
        "python workflow/scripts/evaluate.py --data {input.data} --parameters {input.parameters} --state {input.state} "
        "--settings {params.settings:q} --threads {threads} --output {output} > {log} 2>&1"
