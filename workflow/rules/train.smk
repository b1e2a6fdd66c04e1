# Training on the first task: all seeds of a shard at once, with the optimiser's path recorded.


rule baseline:
    input:
        data=datasets,
    output:
        parameters="results/runs/{study}/baseline/{shard}.safetensors",
        state="results/runs/{study}/baseline/{shard}.state.safetensors",
        path="results/runs/{study}/baseline/{shard}.path.safetensors",
        accuracy="results/runs/{study}/baseline/{shard}.csv",
    log:
        "results/logs/baseline/{study}/{shard}.log",
    benchmark:
        "results/benchmarks/baseline/{study}/{shard}.tsv"
    priority: 2  # short, and the long jobs of retention wait for it
    conda:
        "../../envs/workflow.yaml"
    # One thread each: processes side by side use the cores best, and the bits do not depend on how many there are
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(120),
        gpu=GPUS,
    params:
        code=code(f"{SCRIPTS}/baseline.py"),
        settings=lambda wildcards: settings(
            wildcards.study, wildcards.shard, *TASKS, "training", records=records(wildcards.study, wildcards.shard)
        ),
    message:
        "Training {wildcards.study} on its first task ({wildcards.shard})"
    shell:
        "python workflow/scripts/baseline.py --data {input.data} --settings {params.settings:q} --threads {threads} "
        "--parameters {output.parameters} --state {output.state} --path {output.path} --accuracy {output.accuracy} > {log} 2>&1"
