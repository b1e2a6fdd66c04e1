# Learning the later tasks one after another, held back by one estimator's importances, or by an ablation of them; all
# strengths in one process.


rule retention:
    input:
        unpack(lambda wildcards: networks(wildcards, "parameters", "state")),
        data=datasets,
        importance=lambda wildcards: [importances(wildcards, name) for name in importances_of(wildcards)],
    output:
        "results/runs/{study}/retention/{estimator}/{shard}.csv",
    log:
        "results/logs/retention/{study}/{estimator}/{shard}.log",
    benchmark:
        "results/benchmarks/retention/{study}/{estimator}/{shard}.tsv"
    wildcard_constraints:
        estimator="|".join(map(re.escape, ["none", *ESTIMATORS, *ABLATIONS])),
    priority: 1  # the longest jobs before the short ones after them, so that none runs alone at the end
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(6000),
        runtime=growing(480),
        gpu=GPUS,
    params:
        code=retention_code,
        settings=retention_settings,
        estimator=retained_name,
        importance=lambda wildcards, input: f"--importance {input.importance}" if input.importance else "",
    message:
        "Learning the later tasks of {wildcards.study} under {wildcards.estimator} ({wildcards.shard})"
    shell:
        "python workflow/scripts/retention.py --estimator {params.estimator:q} --data {input.data} "
        "--parameters {input.parameters} --state {input.state} {params.importance} --settings {params.settings:q} --threads {threads} "
        "--output {output} > {log} 2>&1"
