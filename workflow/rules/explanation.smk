# Why importances agree: agreement against confidence, decomposition of correlations, and learning trajectories.


rule confidence:
    input:
        unpack(from_wildcards(grid.changed_networks)),
        data=from_wildcards(grid.datasets),
    output:
        confidence="results/runs/{study}/confidence/{condition}/{shard}.confidence.csv",
        agreement="results/runs/{study}/confidence/{condition}/{shard}.agreement.csv",
    log:
        "results/logs/confidence/{study}/{condition}/{shard}.log",
    wildcard_constraints:
        condition="temperature|epochs|label_smoothing",
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
        gpu=GPUS,
    params:
        code=from_wildcards(dependencies.explanation, OWN_ESTIMATORS, "confidence", ()),
        settings=from_wildcards(jobs.confidence),
        trained=lambda wildcards, input: f"--trained {input.parameters}" if "parameters" in input.keys() else "",
    message:
        "Explaining agreement in {wildcards.study} by confidence: {wildcards.condition} ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/confidence.py --data {input.data} {params.trained} --settings {params.settings:q} '
        "--threads {threads} --confidence {output.confidence} --agreement {output.agreement} > {log} 2>&1"


rule decomposition:
    input:
        unpack(from_wildcards(grid.networks)),
        data=from_wildcards(grid.datasets),
    output:
        **{
            name: f"results/runs/{{study}}/decomposition/{{shard}}.{name}.csv"
            for name in grid.EXPLANATION["decomposition"]
        },
    log:
        "results/logs/decomposition/{study}/{shard}.log",
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=GPUS,
    params:
        code=from_wildcards(dependencies.explanation, OWN_ESTIMATORS, "decomposition", ("total_signal",)),
        settings=from_wildcards(jobs.of_shard, DecompositionJob),
    message:
        "Explaining agreement in {wildcards.study} by factors, signal and noise ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/decomposition.py --data {input.data} --trained {input.parameters} '
        "--settings {params.settings:q} --threads {threads} --factors {output.factors} --signal {output.signal} "
        "--reliability {output.reliability} --noise {output.noise} > {log} 2>&1"


rule trajectories:
    input:
        unpack(from_wildcards(grid.networks)),
        data=from_wildcards(grid.datasets),
    output:
        trajectories="results/runs/{study}/trajectories/{shard}.trajectories.csv",
        shared="results/runs/{study}/trajectories/{shard}.shared.csv",
    log:
        "results/logs/trajectories/{study}/{shard}.log",
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
        gpu=GPUS,
    params:
        code=from_wildcards(dependencies.explanation, OWN_ESTIMATORS, "trajectories", ()),
        settings=from_wildcards(jobs.of_shard, TrajectoriesJob),
    message:
        "Explaining agreement in {wildcards.study} by trajectories ({wildcards.shard})"
    shell:
        'python "$WORKFLOW"/scripts/trajectories.py --data {input.data} --trained {input.parameters} '
        "--settings {params.settings:q} --threads {threads} --trajectories {output.trajectories} "
        "--shared {output.shared} > {log} 2>&1"
