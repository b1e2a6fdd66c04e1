# Data sets: fetched from the first source that gives them, every byte checked.


rule dataset:
    input:
        # data sets that lie in the repository
        files=lambda wildcards: sorted(map(str, Path("workflow/resources", wildcards.dataset).glob("*.gz"))),
    output:
        "results/data/{dataset}.safetensors",
    log:
        "results/logs/dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/dataset/{dataset}.tsv"
    localrule: True  # nodes of a cluster often reach no network
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=code(f"{SCRIPTS}/dataset.py"),
    message:
        "Fetching and checking {wildcards.dataset}"
    shell:
        "python workflow/scripts/dataset.py --dataset {wildcards.dataset} --output {output} > {log} 2>&1"
