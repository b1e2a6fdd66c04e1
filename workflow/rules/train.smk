# Training on the first task, all seeds of a shard at once, and evaluation of the trained networks.


rule baseline:
    input:
        data=from_wildcards(grid.datasets),
    output:
        parameters="results/runs/{study}/baseline/{shard}.safetensors",
        state="results/runs/{study}/baseline/{shard}.state.safetensors",
        path="results/runs/{study}/baseline/{shard}.path.safetensors",
    log:
        "results/logs/baseline/{study}/{shard}.log",
    priority: 2  # short, and long retention jobs depend on it
    conda:
        "../../envs/workflow.yaml"
    # One thread per job: parallel jobs use the cores best, and results do not depend on the number of cores.
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(120),
        gpu=GPUS,
    params:
        code=from_wildcards(dependencies.on_tasks, "baseline"),
        settings=from_wildcards(jobs.training, records),
    message:
        "Training {wildcards.study} on its first task ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/baseline.py --data {input.data} --settings {params.settings:q} --threads {threads} '
        "--trained {output.parameters} > {log} 2>&1"


rule evaluation:
    input:
        unpack(from_wildcards(grid.weights)),
        data=from_wildcards(grid.datasets),
    output:
        "results/runs/{study}/baseline/{shard}.csv",
    log:
        "results/logs/evaluation/{study}/{shard}.log",
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
        gpu=GPUS,
    params:
        code=from_wildcards(dependencies.on_tasks, "evaluation"),
        settings=from_wildcards(jobs.of_shard, EvaluationJob),
    message:
        "Evaluating {wildcards.study} on its first task ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/evaluation.py --data {input.data} --trained {input.parameters} '
        "--settings {params.settings:q} --threads {threads} --output {output} > {log} 2>&1"
