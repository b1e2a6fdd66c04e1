# Data sets, from the first source that has them; every byte is checked.


rule dataset:
    input:
        # data sets in the repository
        files=lambda wildcards: sorted(
            map(str, Path(places.source("workflow/resources"), wildcards.dataset).glob("*.gz"))
        ),
    output:
        "results/data/{dataset}.safetensors",
    log:
        "results/logs/dataset/{dataset}.log",
    localrule: True  # nodes of a cluster often have no network
    conda:
        "../../envs/workflow.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=dependencies.program("dataset"),
    message:
        "Fetching and checking {wildcards.dataset}"
    shell:
        'python "$WORKFLOW"/scripts/dataset.py --dataset {wildcards.dataset} --output {output} > {log} 2>&1'
