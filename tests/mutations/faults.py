"""One-line faults, and the tests that must detect each: data for ``plant.py``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A fault to plant.

    Attributes:
        file: path in the repository.
        original: text that occurs there exactly once.
        replacement: text of the fault.
        survives: why no test can detect it.
    """

    file: str
    original: str
    replacement: str
    survives: str = ""


@dataclass(frozen=True)
class Module:
    """Faults of one part of the package, and the tests that cover it."""

    name: str
    tests: tuple[str, ...]
    faults: tuple[Fault, ...]


PACKAGE = "src/weight_importance/"


CHECKED = "The comparison with automatic differentiation on a few samples rejects the closed form as well."


def module(name: str, tests: str, *faults: tuple[str, ...]) -> Module:
    """A module's faults: ``(file in the package, original, replacement[, why it survives])``; files of tests by name."""
    files = tuple(f"tests/{test if '/' in test else f'unit/test_{test}'}.py" for test in tests.split())
    planted = tuple(
        Fault(PACKAGE + file, original, replacement, survives="".join(reason))
        for file, original, replacement, *reason in faults
    )
    return Module(name, files, planted)


CATALOGUE, ENGINE, LEARNING = "estimators/catalogue/", "estimators/engine/", "learning/"
FORMS, MOMENTS, PATH = f"{ENGINE}forms.py", f"{ENGINE}moments.py", "estimators/path.py"
USES = f"{ENGINE}uses.py"
BATCHES, LOOP, FIRST, IMPORTANCE = (f"{LEARNING}{name}.py" for name in ("batches", "loop", "first_task", "importance"))
RETENTION, GRID, PENALTY = (f"{LEARNING}{name}.py" for name in ("retention", "grid", "penalty"))
STATISTICS, RECOVERY, ATLAS = "findings/statistics.py", "findings/ablations.py", "findings/atlas.py"
SELECTION = "findings/selection.py"
POWER, RERUN = "findings/power.py", "findings/rerun.py"
RANKING, TENSORS, CLAIMS = "findings/retention.py", "files/tables.py", "paper/claims.py"
TASKS, SAMPLES = "data/tasks/", "data/samples.py"
STORAGE, CHECKPOINT, TRAINED = "files/storage.py", "files/checkpoint.py", "files/trained.py"

# fmt: off
MODULES = (
    module(
        "estimators: formulas", "state_and_path moments curvature",
        (f"{CATALOGUE}fisher_exact.py", "probabilities.T[block.start : block.stop]", "probabilities.T[block.start : block.stop] ** 0"),
        (f"{CATALOGUE}fisher_empirical.py", "    power=2,", "    power=1,"),
        (f"{CATALOGUE}fisher_sampled.py", "multinomial(probabilities.to", "multinomial((0 * probabilities + 1).to"),
        (f"{CATALOGUE}fisher_predicted.py", "logits.argmax(1)", "labels.long()"),
        (f"{CATALOGUE}fisher_batched.py", "BATCH = 100", "BATCH = 50"),
        (f"{CATALOGUE}mas.py", "probabilities.square().sum(1", "probabilities.sum(1"),
        (f"{CATALOGUE}mas_logits.py", "2 * logits[None]", "logits[None]"),
        (f"{CATALOGUE}masx.py", "largest.square()", "largest"),
        (f"{CATALOGUE}mas_logits_norm.py", "logits / norm.clamp_min", "logits / norm.square().clamp_min"),
        (f"{CATALOGUE}ewc_dr.py", "(-logits).softmax(1)", "logits.softmax(1)"),
        (f"{CATALOGUE}absolute_fisher.py", "    power=1,", "    power=2,"),
        (f"{CATALOGUE}root_fisher.py", "return fisher.sqrt()", "return fisher"),
        (f"{CATALOGUE}snip.py", "parameter.abs() * gradient", "parameter.square() * gradient"),
        (f"{CATALOGUE}obd.py", "parameter.square() / 2", "parameter.square()"),
        (f"{CATALOGUE}magnitude.py", "return parameter.abs()", "return parameter"),
        (f"{CATALOGUE}wanda.py", "mean_square.sqrt()", "mean_square"),
        (f"{CATALOGUE}total_signal.py", "after if call.name in passing else call.output", "call.output"),
        (f"{CATALOGUE}si.py", "DAMPING = 0.1", "DAMPING = 0.01"),
        (f"{CATALOGUE}si_bias.py", "path_integral - independent_path_integral", "path_integral + independent_path_integral"),
        (f"{CATALOGUE}ggn.py", "(own * after / before).sqrt()", "(own * after).sqrt()"),
        (f"{CATALOGUE}sos.py", "squared_gradient.sqrt()", "squared_gradient"),
    ),
    module(
        "estimators: uses of parameters", "library/test_uses",
        (USES, " and found[0][0] not in reordered", ""),
        (USES, "values.sum_to_size(len(values), *shape)", "values.sum_to_size(len(values), *shape).abs()"),
        (USES, "        if self.padding >= 0:\n", "        if self.padding > 99:\n"),
        (f"{ENGINE}products.py", "_parts(use.samples, use.elements(gradient), gradient)", "_parts(use.samples, 1, gradient)"),
        (f"{ENGINE}probe.py", "use.samples > 1}", "use.samples > 0}"),
        (f"{ENGINE}probe.py", "if len(earlier.samples) > 1:", "if True:"),
        (f"{ENGINE}probe.py", "plan.vectorised += sorted(others)", "pass"),
    ),
    module(
        "estimators: engine", "state_and_path moments curvature passes",
        (FORMS, "mean, variance, training=False, eps=module.eps)", "mean, variance, training=False)"),
        (FORMS, "module.num_groups, eps=module.eps)", "module.num_groups)"),
        (FORMS, "module.normalized_shape, eps=module.eps)", "module.normalized_shape)"),
        (FORMS, "left = [t // 2 for t in total]", "left = [t - t // 2 for t in total]"),
        (FORMS, "dilation=dilation, stride=stride)", "dilation=dilation, stride=1)"),
        (f"{ENGINE}closed_forms.py", "owners[id(parameter)] == 1", "owners[id(parameter)] >= 1", CHECKED),
        (f"{ENGINE}closed_forms.py", "names.count(call.name) == 1", "names.count(call.name) >= 1", CHECKED),
        (f"{ENGINE}closed_forms.py", "<= tolerance * self._largest[name] + self._floor", ">= 0"),
        (f"{ENGINE}products.py", "sums[term.key].addcmul_(powered, weight)", "sums[term.key].add_(powered)"),
        (f"{ENGINE}products.py", "_powers(factor.sum(3).flatten(1), terms", "_powers(factor.abs().sum(3).flatten(1), terms"),
        (MOMENTS, "term.weight.to(values.dtype) @ values.abs().pow(term.power)", "values.abs().pow(term.power).sum(0)"),
        (MOMENTS, "self.totals[COUNT] += target.samples", "self.totals[COUNT] += plan.logits.shape[0]"),
        (MOMENTS, "sorted(wrong))\n                self._alone(some, rest, wrong)", "sorted(wrong))"),
        (f"{ENGINE}cotangents.py", "    logits = logits.double()\n", "    logits = logits.float().double()\n"),
        (f"{ENGINE}batches.py", "total / self.filled[1]", "(total / self._wanted.batch)"),
        (f"{ENGINE}batches.py", "cotangent, keep=True)", "cotangent, keep=False)"),
        (f"{ENGINE}batches.py", "if self.shares(plan) else None", "if True else None"),
        (f"{ENGINE}batches.py", "return plan.size + needed_bytes(", "return plan.size + 0 * needed_bytes("),
        (f"{ENGINE}passes.py", "            del forward_pass  # release the graph before the next pass", "            pass"),
        (f"{ENGINE}passes.py", "for each in sums:", "for each in reversed(sums):"),
        (f"{ENGINE}layers.py", "    network.eval()\n", "    pass\n"),
        (PATH, "SQUARES_DECAY = 0.999", "SQUARES_DECAY = 0.99"),
        (PATH, "gradient.abs(), 1 / step.number", "gradient.abs(), 0.1"),
        (PATH, "each.min for each in ends]).amin(0)", "each.min for each in ends]).amax(0)"),
        (PATH, "if step.number > 1 else 0.0", "if step.number > 1 else 0.1"),
        (PATH, "step.number % RWALK_STEPS == 1", "step.number % RWALK_STEPS == 0"),
        (PATH, ".div_(2).add_(RWALK_DAMPING)", ".add_(RWALK_DAMPING)"),
        (PATH, "replacements = estimator.published if published else {}", "replacements = {}"),
        (PATH, '"independent_path_integral": Record(_path_integral, "independent")', '"independent_path_integral": Record(_path_integral, "plain")'),
    ),
    module(
        "estimators: curvature", "curvature passes",
        (f"{ENGINE}curvature.py", "+= vector[name] * product", "+= product"),
        (f"{ENGINE}curvature.py", "- one_hot(target.labels, logits.shape[-1])", ""),
        (f"{ENGINE}curvature.py", "(2 * drawn - 1)", "(2 * drawn)"),
        (f"{ENGINE}curvature.py", "if product.any():", "if False:"),
        (f"{ENGINE}curvature.py", "            linear |= {", "            linear &= {"),
    ),
    module(
        "learning: the loop", "continual_reference loop first_task gradients replicas",
        (BATCHES, "generator(purpose, seed, task, epoch)", "generator(purpose, seed, task)"),
        (BATCHES, "generator(purpose, seed, task, epoch)", "generator(purpose, seed, 0, epoch)"),
        (LOOP, "range(options.first_epoch, options.first_epoch + present(epochs))", "range(epochs)"),
        (BATCHES, "[self.seeds.index(seed) for seed in seeds]", "[0 for seed in seeds]"),
        (LOOP, "samples.orders(*order, OTHER_ORDER)", "samples.orders(*order)"),
        (LOOP, "            module.eval()", "            module.train()"),
        (LOOP, "            replicas.buffers[name][rows] = buffer", "            pass"),
        (BATCHES, "[: size // batch_size]", "[: size // batch_size - 1]"),
        (LOOP, "replicas.adam if options.carry_adam else None, None", "None, None"),
        (FIRST, "carry_adam=True", "carry_adam=False"),
        (FIRST, 'taken = int(tensors["steps"])', "taken = present(replicas.adam).steps"),
        (FIRST, "Options(first_epoch=epoch)", "Options(first_epoch=0)"),
        (FIRST, "under(DISPLACEMENT, names), taken", "under(DISPLACEMENT, names), 0"),
        (PATH, "self.steps += steps", "self.steps = steps"),
        (f"{LEARNING}engine/optimiser.py", "self._recorder.steps + number", "number"),
        (f"{LEARNING}engine/optimiser.py", "self._before + number)", "number)"),
        (f"{LEARNING}engine/optimiser.py", "adam.steps if adam else 0", "0"),
        (f"{LEARNING}engine/optimiser.py", "BETAS, EPSILON = (0.9, 0.999), 1e-8", "BETAS, EPSILON = (0.9, 0.999), 1e-4"),
        (f"{LEARNING}engine/optimiser.py", "Step(recorded, piece.gradient, total,", "Step(recorded, total, total,"),
        (f"{LEARNING}engine/gradients.py", "cross_entropy(logits, labels, label_smoothing=label_smoothing)", "cross_entropy(logits, labels)"),
        (f"{LEARNING}replicas.py", 'derive("initialisation", seed)', 'derive("initialisation", 0)'),
        (f"{LEARNING}heads.py", "logits.index_select(-1, classes) if", "logits[..., : len(classes)] if"),
    ),
    module(
        "learning: penalty", "continual_reference penalty",
        (PENALTY, "2 * weighted,", "weighted,"),
        (PENALTY, "(weighted * learning_rate + 1)", "(weighted + 1)"),
        (PENALTY, "before + (values - before) / tasks", "before + (values - before) / 2"),
        (PENALTY, "decay * before + values", "before + decay * values"),
        (PENALTY, "if self._clamp_negative:", "if True:"),
        (PENALTY, "values.clamp_min(0) for", "values.abs() for"),
        (PENALTY, "row.abs().sum(1, dtype", "row.sum(1, dtype"),
        (PENALTY, "weights if self._one_anchor else", "self.anchor[name] if self._one_anchor else"),
        (PENALTY, "self._tasks = tasks", "self._tasks = 0"),
        (PENALTY, "ACCUMULATIONS[accumulation]", 'ACCUMULATIONS["sum"]'),
        (PENALTY, "self._decay = decay", "self._decay = 1.0"),
        (PENALTY, "PENALTIES[penalty]", 'PENALTIES["plain"]'),
    ),
    module(
        "learning: retention", "continual_reference retention grid",
        (RETENTION, "tasks[number - 1].after(tasks[self.learnt - 1])", "tasks[0].after(tasks[self.learnt - 1])"),
        (RETENTION, "task.part(split), tasks)", 'task.part("test"), tasks)'),
        (RETENTION, "tasks = [tasks[number] for tasks in self.tasks]\n        data", "tasks = [tasks[0] for tasks in self.tasks]\n        data"),
        (RETENTION, "            learning.clamp_negative,\n", "            True,\n"),
        (RETENTION, "            learning.accumulation,\n", '            "sum",\n'),
        (RETENTION, "            learning.decay,\n", "            1.0,\n"),
        (RETENTION, 'learning.task_weights == "equal"', "False"),
        (RETENTION, "            learning.penalty,\n", '            "plain",\n'),
        (RETENTION, "            self.job.optimisation.learning_rate,\n", "            0.001,\n"),
        (RETENTION, ".at_most(learning.images)", ".at_most(None)"),
        (RETENTION, 'learning.batch_norm == "frozen"', "False"),
        (RETENTION, "recorder(*self._paths, published=self.job.penalised_path)", "recorder(*self._paths)"),
        (RETENTION, "carry_adam=self.job.carry_adam,", "carry_adam=True,"),
        (RETENTION, "carry_adam=self.job.carry_adam,", "carry_adam=False,"),
        (RETENTION, "part.last(self.job.samples)", "part"),
        (RETENTION, "headed, samples, (number,), of_path", "headed, samples, (0,), of_path"),
        (RETENTION, "{name: values.clamp_min(0) for name, values in each.items()}", "dict(each)"),
        (RETENTION, "if self.weighting.ablation is None:", "if self.learnt or self.weighting.ablation is None:"),
        (RETENTION, "self.replicas.adam if self.job.carry_adam else None)", "None)"),
        (RETENTION, "self._consolidation.resume(self.learnt,", "self._consolidation.resume(1,"),
        (RETENTION, "        replicas.buffers = restored", "        restored"),
        (IMPORTANCE, 'generator("label sampling", replicas.seeds[replica], *draw)', 'generator("label sampling", replicas.seeds[replica], 0)'),
        (IMPORTANCE, 'generator("label sampling", replicas.seeds[replica], *draw)', 'generator("label sampling", 0, *draw)'),
        (IMPORTANCE, "if data[replica] is not samples:", "if samples is None:"),
        (GRID, "[strength for _, strength in cells]", "[cells[0][1] for _ in cells]"),
        (GRID, "[tasks[row] for row in spread]", "[tasks[0] for row in spread]"),
        (GRID, "torch.equal(state[\"cells\"], numbers)", "True"),
        (GRID, "if float(strength) in wanted:", "if True:"),
    ),
    module(
        "learning: evaluation", "continual_reference replicas loop",
        (f"{LEARNING}evaluation.py", "replicas.template.eval()", "replicas.template.train()"),
        (f"{LEARNING}evaluation.py", "count / len(samples)", "count / max(1, len(samples) - 1)"),
        (f"{LEARNING}evaluation.py", ".argmax(1) == labels", ".argmin(1) == labels"),
        (f"{LEARNING}evaluation.py", "own is samples and finite[replica]", "own is samples"),
        (f"{LEARNING}evaluation.py", "for samples in dict.fromkeys(data):", "for samples in data[:1]:"),
    ),
    module(
        "learning: pruning", "pruning scripts/test_stages",
        (f"{LEARNING}pruning.py", 'if scope == "network":', 'if scope == "tensor":'),
        (f"{LEARNING}pruning.py", "len(values) if scope == WITHIN_OUTPUTS else 1", "1"),
        (f"{LEARNING}pruning.py", "importance[name].abs()", "importance[name]"),
        ("estimators/weights.py", "tensor.ndim >= 2", "tensor.ndim >= 1"),
        (f"{LEARNING}pruning.py", "round(fraction * count)", "int(fraction * count)"),
    ),
    module(
        "learning: ablations", "ablations continual_reference",
        (f"{LEARNING}ablations.py", "sizes.mean() / raised.mean()", "1.0"),
        (f"{LEARNING}ablations.py", "rows.double().mean(0)", "rows.double().mean(1, keepdim=True)"),
        (f"{LEARNING}ablations.py", "ascending.flip(0)", "ascending"),
        (f"{LEARNING}ablations.py", "seed, 0)\n        match", "0, 0)\n        match"),
        (f"{LEARNING}ablations.py", "for values in importance.values()]).mean()", "for values in importance.values()]).sum()"),
        (f"{LEARNING}ablations.py", "_ascending(ranks, draw), values.shape", "_ascending(values, draw), values.shape"),
    ),
    module(
        "tasks", "tasks samples continual_reference",
        (f"{TASKS}permuted.py", "permutation(number, seed, images.shape", "permutation(number, 0, images.shape"),
        (f"{TASKS}permuted.py", "seed if fixed is None else fixed", "fixed or 0"),
        (f"{TASKS}permuted.py", 'generator("permutation", seed, number)', 'generator("permutation", seed, 1)'),
        (f"{TASKS}rotated.py", "torch.rot90(images, self.quarters,", "torch.rot90(images, -self.quarters,"),
        (SAMPLES, "count >= len(self) else self.take(slice(-count, None))", "count >= len(self) else self.take(slice(count))"),
        (SAMPLES, "        return self.take(slice(-count, None))\n\n    def at_most", "        return self.take(slice(count))\n\n    def at_most"),
        (SAMPLES, "labels=self.labels[indices])", "labels=self.labels[: len(self.stored[indices])])"),
        (SAMPLES, "results = {item: function(item) for item in dict.fromkeys(items)}", "results = dict.fromkeys(items, function(items[0]))"),
        (SAMPLES, ".div_(255)", ".div_(256)"),
        (f"{TASKS}task.py", "slice(available - validation, None)", "slice(validation)"),
        (f"{TASKS}task.py", "training_set.take(slice(training))", "training_set.take(slice(-training, None))"),
        (f"{TASKS}task.py", "Samples(dataset.test_images, dataset.test_labels.long()).spread(test)", "training_set.take(slice(test))"),
        (f"{TASKS}task.py", "changed = transform(number)", "changed = transform(1)"),
        (f"{TASKS}task.py", "rounds = [plain]", "rounds = [plain[:1]]"),
    ),
    module(
        "findings: rerun and power", "rerun",
        (POWER, "stats.t.ppf(1 - level / 2, n - 1), n - 1, mean", "stats.t.ppf(1 - level, n - 1), n - 1, mean"),
        (POWER, "errors = error * np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))", "errors = error + 0 * quantiles"),
        (POWER, "1 - sum(1 - power for power in powers)", "min(powers)"),
        (RERUN, "== min(len(reference.by_seed), len(rerun.by_seed))", "== len(reference.by_seed)"),
        (RERUN, "rerun.by_seed.loc[shared], reference.by_seed.loc[shared]", "rerun.by_seed, reference.by_seed"),
        (RERUN, 'if row["holm_tost_p"] < LEVEL', 'if row["holm_difference_p"] > LEVEL'),
        ("paper/claims.py", "LEVEL if (estimator, name) == PRIMARY else LEVEL / tests", "LEVEL"),
    ),
    module(
        "findings: statistics", "statistics",
        (STATISTICS, "stats.t.ppf((1 + level) / 2, values.size - 1)", "stats.t.ppf(level, values.size - 1)"),
        (STATISTICS, "* stats.sem(values)", "* values.std()"),
        (STATISTICS, "a - b.loc[a.index]", "a - b.to_numpy()"),
        (STATISTICS, '((-margin, "greater"), (margin, "less"))', '((-margin, "two-sided"), (margin, "two-sided"))'),
        (STATISTICS, "return max(float(stats.ttest_1samp", "return min(float(stats.ttest_1samp"),
        (STATISTICS, "equal_var=False, alternative", "equal_var=True, alternative"),
        (STATISTICS, "stats.t.ppf((1 + level) / 2, n - 1) ** 2", "stats.t.ppf(level, n - 1) ** 2"),
        (STATISTICS, '["accuracy"].mean(skipna=False)', '["accuracy"].mean()'),
        (STATISTICS, 'sort_values("mean", ascending=False, kind="stable"', 'sort_values("mean", ascending=True, kind="stable"'),
        (STATISTICS, 'retention.groupby("study")["tasks_learnt"].transform("max")', 'retention["tasks_learnt"].max()'),
        (STATISTICS, "means = intervals(final, by=", "means = intervals(final.dropna(), by="),
    ),
    module(
        "findings: recovery, selection", "findings_ablations selection",
        (SELECTION, 'for split in (criterion, "test")', 'for split in ("test", criterion)'),
        (SELECTION, "* n / (n - 1))", ")"),
        (SELECTION, "means = counts @ self.criterion.T", "means = np.ones_like(counts) @ self.criterion.T"),
        (SELECTION, "value * (len(tested) - rank)", "value * len(tested)"),
        (RECOVERY, ".astype(float).mask(primary)", ".astype(float)"),
        (RECOVERY, '(retention["split"] == "test")', '(retention["split"] == "validation")'),
        (RECOVERY, "MARGIN = 0.005", "MARGIN = 0.01"),
        (RECOVERY, "recovered(ablation, reference, baseline)", "recovered(ablation, baseline, reference)"),
        (RECOVERY, 'final["task"] < last', 'final["task"] <= last'),
        (RECOVERY, '"worse" if row["mean_difference"] < 0 else "better"', '"better" if row["mean_difference"] < 0 else "worse"'),
    ),
    module(
        "findings: atlas, rankings, claims", "atlas paper_numbers claims",
        (ATLAS, 'final = final_accuracy(retention, "test")', 'final = final_accuracy(retention, "validation")'),
        (ATLAS, 'SCOPE = "network"', 'SCOPE = "tensor"'),
        (ATLAS, 'pruning[pruning["scope"] == scope]', 'pruning[pruning["scope"] != scope]'),
        (ATLAS, ".groupby(PAIR, sort=False).mean()", ".groupby(PAIR, sort=False).first()"),
        (ATLAS, "/ np.ptp(curve", "* np.ptp(curve"),
        (ATLAS, 'correlation["tensor"].map(is_weight_tensor)', 'correlation["tensor"].str.startswith("fc")'),
        (ATLAS, "distance <= 1 - least", "distance <= least"),
        (RANKING, 'test = final_accuracy(retention, "test")', 'test = final_accuracy(retention, "validation")'),
        (RANKING, 'at_selected_lambda(final_accuracy(retention, "validation"), selected)', 'at_selected_lambda(final_accuracy(retention, "test"), selected)'),
        (TENSORS, "and not NORMALISATION.search(layer)", ""),
        (CLAIMS, "(outcomes == outcome).all()", "(outcomes == outcome).any()"),
        (CLAIMS, 'recoveries["low_gain"].iloc[0] > 0', "True"),
        (CLAIMS, 'recoveries["at_edge"].eq(False).all()', "True"),
    ),
    module(
        "analysis: correlation", "correlation explanation",
        ("analysis/correlation.py", "TOP_SHARE = 0.1", "TOP_SHARE = 0.2"),
        ("analysis/ranks.py", "(starts + ends + 1) / 2", "starts + 1"),
        ("analysis/ranks.py", "tied.cumsum(0) <= count", "tied.cumsum(0) < count"),
        ("analysis/correlation.py", "return covariance / spread\n", "return spread / covariance\n"),
        ("analysis/correlation.py", "overlap / _top(n)", "overlap / n"),
        ("analysis/correlation.py", 'seed, permutation)', 'seed, 0)'),
        ("analysis/correlation.py", "FEWEST_ENTRIES = 3", "FEWEST_ENTRIES = 2"),
    ),
    module(
        "files", "storage checkpoint trained seeding continual_reference",
        (STORAGE, "seal_of(path), temporary: path}", "seal_of(path), temporary: path.with_name('x')}"),
        (STORAGE, "            _flush(written)\n", "            pass\n"),
        (STORAGE, 'na_rep="nan"', 'na_rep=""'),
        (STORAGE, "contiguous = {name: tensor.detach().cpu().contiguous()", "contiguous = {name: tensor.detach().cpu().half().contiguous()"),
        (STORAGE, "if metadata.get(key) != value:", "if False:"),
        (STORAGE, "json.dumps(header, sort_keys=True,", "json.dumps(header, sort_keys=False,"),
        ("files/integrity.py", "seal.read_bytes().strip() == sha256.encode()", "seal.read_bytes().strip()[:1] == sha256.encode()[:1]"),
        ("files/integrity.py", "if not seal.is_file() or", "if seal.is_file() or"),
        (CHECKPOINT, "if about != self._made_from:", "if False:"),
        (CHECKPOINT, '.partition("/")[0] == step', ".startswith(step)"),
        (CHECKPOINT, '"inputs": json.dumps([checksum(Path(file)) for file in files])', '"inputs": json.dumps([str(file) for file in files])'),
        (CHECKPOINT, '"precision": torch.get_float32_matmul_precision(),', ""),
        (TRAINED, "mean[list(indices)] for name, mean", "mean[: len(indices)] for name, mean"),
        (TRAINED, 'under("adam/first", tensors), under("adam/second", tensors)', 'under("adam/second", tensors), under("adam/first", tensors)'),
        ("runtime/seeding.py", '"/".join([purpose, *map(str, numbers)])', '"".join([purpose, *map(str, numbers)])'),
    ),
)
