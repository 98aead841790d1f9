"""What `Library.train` offers: training from your own pairs, and using what was learned."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmsearch import evaluate as evaluation
from mmsearch.calibration import neutral
from mmsearch.catalog import SpaceRecord
from mmsearch.catalog.embeddings import vectors_of_others
from mmsearch.catalog.spaces import active_space
from mmsearch.context.context import LibraryContext
from mmsearch.core import vault
from mmsearch.core.arguments import checked_methods
from mmsearch.core.version import VERSION
from mmsearch.encoders.device import resolve
from mmsearch.encoders.projection import Projection, dump_projection
from mmsearch.errors import InvalidInput, SpaceChanged
from mmsearch.evaluate import JudgedPairs
from mmsearch.search.query import embed_file
from mmsearch.training import adapter as adapting
from mmsearch.training import heads, learned_fusion, plot
from mmsearch.training import weak as weakly
from mmsearch.training.examples import Ints, PairExamples, gather_examples
from mmsearch.training.loop import FitResult, OnEpoch, fit_task
from mmsearch.training.lora import LoraOptions
from mmsearch.training.projection import ProjectionShape, ProjectionTask, projection_settings
from mmsearch.training.results import ActiveSpace, TrainingResult
from mmsearch.training.serving import apply as applying
from mmsearch.training.serving import card, checkpoint
from mmsearch.training.serving.folder import CHECKPOINT, PROJECTION, ModelFolder, model_folders
from mmsearch.training.serving.recipe import Recipe
from mmsearch.training.serving.records import KINDS, TrainedModel, TrainingPlan
from mmsearch.types import Modality, Space, Vectors

REPLAY = 4096
"""Other vectors of each modality that a projection is held back on, at most."""


@checked_methods
class LibraryTraining:
    """Training for one library: projections, adapters, fusions and classifiers.

    Each training makes a folder `training/NAME` in the library. Nothing changes for searches before `apply`.
    """

    def __init__(self, context: LibraryContext) -> None:
        self._context = context

    def projection(
        self,
        pairs: str | os.PathLike[str] | None = None,
        name: str = "mine",
        *,
        weak: Sequence[str] = (),
        valid: str | os.PathLike[str] | None = None,
        test: float = 0.0,
        modality: Sequence[Modality] = (),
        plot: str | os.PathLike[str] | None = None,
        on_epoch: OnEpoch | None = None,
        command: str = "library.train.projection(...)",
        **chosen: Any,
    ) -> TrainingResult:
        """Learn a map of the library's vectors from pairs of queries and right answers.

        Args:
            pairs: A TSV file with the header query<TAB>relevant, as for `Library.evaluate`; None with `weak`.
            name: Name of the model.
            weak: Sources of pairs in the library itself: "names", "folders", "sidecars", "tags".
            valid: Pairs for validation; by default a fifth of all pairs is held out, by whole groups of files.
            test: Share of the other pairs that take no part, and measure the result in the end.
            modality: Modalities whose vectors get a map; by default those of items other than text, if there are any.
            plot: Draw the curves of recall into this .png, .svg or .pdf file.
            on_epoch: Called after each epoch.
            command: What the model card says it was made with.
            chosen: Options of the training: loss, optimizer, epochs, batch, lr, patience, seed, adversarial, radius,
                augment, hidden, dropout, keep.

        Raises: InvalidInput for a name that is taken, too few or unusable pairs, or unknown options; LibraryLocked.
        """
        folder = self._new(name)
        _check_plot(plot)
        recipe, shaped = projection_settings(chosen)
        training = evaluation.pairs.read_pairs(Path(pairs)) if pairs is not None else None
        validating = evaluation.pairs.read_pairs(Path(valid)) if valid is not None else None
        base, record = self._context.base()
        asked = weakly.gather(training, weak, modality, self._context.catalog(), folder)
        gathered = gather_examples(
            asked.judged, validating, self._context.catalog(), (base, record),
            lambda path: embed_file(path, self._context, base, record), recipe.seed,
        )  # fmt: skip
        shape = ProjectionShape(tuple(modality) or _modalities(gathered.examples), **shaped)
        examples, tested = gathered.examples.without_test(test, recipe.seed)
        missing = [one for one in shape.modalities if one not in base.encoders]
        if missing:
            raise InvalidInput(f"the space {base.name!r} embeds no {', '.join(missing)}")
        judged = [(training, gathered.used - asked.weak[1]), (validating, gathered.used)]
        plan = TrainingPlan(
            name, base.name, base.fingerprint, command, asdict(recipe), asdict(shape),
            tuple(asdict(_source(one, used)) for one, used in (*judged, asked.weak) if one is not None),
            _splits(examples, tested), (*asked.notes, *gathered.warnings),
        )  # fmt: skip
        with folder.writing():
            replay = self._replay(record, base, shape, gathered.contents)
            folder.begin(
                plan, {**examples.arrays(), "tested": tested, **{f"replay.{m}": rows for m, rows in replay.items()}}
            )
            return replace(self._train(folder, plot, on_epoch), unused=gathered.unused)

    def adapter(
        self,
        pairs: str | os.PathLike[str],
        name: str = "mine",
        *,
        valid: str | os.PathLike[str] | None = None,
        plot: str | os.PathLike[str] | None = None,
        on_epoch: OnEpoch | None = None,
        command: str = "library.train.adapter(...)",
        **chosen: Any,
    ) -> TrainingResult:
        """Adapt the towers of the library's open_clip model to pairs of words and pictures, by LoRA.

        The adapted model is a space of its own, `TrainingResult.space`, for a new library.

        Args:
            pairs: A TSV file with the header query<TAB>relevant; queries are words, answers are pictures.
            chosen: Options of the training, as for `projection`, and rank, alpha, towers and checkpointing.

        Raises: InvalidInput as `projection`, if peft is not installed, or for a space without such towers.
        """
        if vault.is_encrypted(self._context.path / vault.HEADER):
            raise InvalidInput(
                "an encrypted library trains no adapters: one is a plain folder, which open_clip and peft read",
                hint="train it in a plain library, from pairs that may be seen; then here: mmsearch model add",
            )
        folder = self._new(name)
        _check_plot(plot)
        recipe, low = adapting.adapter_settings(chosen)
        sources = [evaluation.pairs.read_pairs(Path(pairs))] + (
            [evaluation.pairs.read_pairs(Path(valid))] if valid else []
        )
        base, _ = self._context.base()
        validating = sources[1] if valid else None
        shown, unused = adapting.gather_pictures(sources[0], validating, base, self._context.decoding(), recipe.seed)
        plan = TrainingPlan(
            name, base.name, base.fingerprint, command, asdict(recipe), asdict(low),
            tuple(asdict(_source(one, len(one.pairs))) for one in sources), shown.splits, (),
        )  # fmt: skip
        with folder.writing():
            folder.begin(plan, shown.arrays())
            return replace(self._adapt(folder, plot, on_epoch), unused=tuple(unused))

    def fusion(
        self,
        pairs: str | os.PathLike[str],
        name: str = "fused",
        *,
        plot: str | os.PathLike[str] | None = None,
        on_epoch: OnEpoch | None = None,
        command: str = "library.train.fusion(...)",
        **chosen: Any,
    ) -> TrainingResult:
        """Learn to make one vector of the files of a group; the setting `fusion = "learned:NAME"` ranks by it.

        Args:
            pairs: A TSV file as `Library.evaluate` reads it; the right answer is the group that a relevant file
                belongs to.
            chosen: Options of the training, as for `projection`, and strategy, hide, attack, radius, steps.

        Raises: InvalidInput as `projection`, or if no pair asks for a group.
        """
        folder = self._new(name)
        _check_plot(plot)
        base, record = self._context.base()
        judged = evaluation.pairs.read_pairs(Path(pairs))
        plan, gathered = learned_fusion.prepare_fusion(
            self._context, judged, name, chosen, lambda path: embed_file(path, self._context, base, record), command
        )
        with folder.writing():
            folder.begin(plan, gathered.arrays())
            return replace(self._fuse(folder, plot, on_epoch), unused=gathered.unused)

    def labels(
        self,
        table: str | os.PathLike[str],
        name: str = "names",
        *,
        confusion: str | os.PathLike[str] | None = None,
        on_epoch: OnEpoch | None = None,
        command: str = "library.train.labels(...)",
        **chosen: Any,
    ) -> heads.TrainedHead:
        """Train a classifier on examples of names; `Library.label(model=name)` uses it.

        Args:
            table: A TSV file with the header path<TAB>label. An empty label means none of the names.
            confusion: Draw the confusion matrix of the held-out examples into this .png, .svg or .pdf file.
            chosen: kind ("linear" or "mlp"), balanced, fusion ("off", "mean" or "learned:NAME", by which a path stands
                for its group of files), optimizer, epochs, lr, patience and seed.

        Raises: InvalidInput for a name that is taken, or if fewer than two names have usable examples.
        """
        _check_plot(confusion)
        learned = heads.learn_head(self._context, Path(table), name, chosen, command, on_epoch)
        if confusion is not None:
            heads.draw_confusion(learned, Path(confusion))
        return learned

    def resume(
        self, name: str = "mine", *, plot: str | os.PathLike[str] | None = None, on_epoch: OnEpoch | None = None
    ) -> TrainingResult:
        """Continue an interrupted training from its last checkpoint, to the weights it would have had.

        Raises: LibraryError if there is no such training, SpaceChanged if it began in another space.
        """
        folder = ModelFolder.of(self._context.path, name)
        plan = folder.plan()
        base, _ = self._context.base()
        if plan["fingerprint"] != base.fingerprint:
            raise SpaceChanged(
                f"the training {name!r} was begun in another space than {base.name!r} as it is now",
                hint=f"start anew: mmsearch train drop {name}",
            )
        _check_plot(plot)
        with folder.writing():
            if plan.get("kind") == learned_fusion.KIND:
                return self._fuse(folder, plot, on_epoch)
            return (self._adapt if "rank" in plan["shape"] else self._train)(folder, plot, on_epoch)

    def apply(self, name: str) -> ActiveSpace:
        """Search with a projection from now on: it maps the stored vectors and opens no media file.

        Raises: InvalidInput if there is no such model, SpaceChanged if it was trained in another space, LibraryLocked.
        """
        return _active(applying.apply_model(self._context, name))

    def to_base(self) -> ActiveSpace:
        """Search without a projection again. Raises: LibraryEmpty, LibraryLocked."""
        return _active(applying.return_to_base(self._context))

    def drop(self, name: str) -> None:
        """Forget a model and its vectors; if it is in use, searches go back to the base space.

        Raises: InvalidInput if there is no such model.
        """
        applying.drop_model(self._context, name)

    def models(self) -> list[TrainedModel]:
        """The trained models of the library, by name."""
        serving = self._context.catalog().read(active_space)
        models = []
        for folder in model_folders(self._context.path):
            written = card.read_card(folder.path) if folder.finished else {}
            active = serving is not None and serving.base is not None and serving.name.endswith(f"+{folder.name}")
            kind = written.get("kind", "projection")
            models.append(TrainedModel(folder.name, kind, folder.finished, active, written.get("after", {})))
        return models

    def _new(self, name: str) -> ModelFolder:
        """Raises: InvalidInput if there is a model of this name."""
        folder = ModelFolder.of(self._context.path, name)
        if folder.begun:
            raise InvalidInput(
                f"there is a {'model' if folder.finished else 'training'} {name!r} already",
                hint=f"choose another --name, {'' if folder.finished else 'go on with --resume, '}"
                f"or first: mmsearch train drop {name}",
            )
        return folder

    def _fuse(self, folder: ModelFolder, plot: Any, on_epoch: OnEpoch | None) -> TrainingResult:
        fitted = learned_fusion.train_fusion(folder, on_epoch)
        _draw(fitted, plot)
        warnings = ("no epoch was better than the mean: more pairs may help",) if fitted.best == 0 else ()
        return _result(folder, fitted, warnings)

    def _adapt(self, folder: ModelFolder, plot: Any, on_epoch: OnEpoch | None) -> TrainingResult:
        plan = folder.plan()
        low, recipe = folder.settings(LoraOptions, plan["shape"]), folder.settings(Recipe, plan["recipe"])
        fitted, files = adapting.train_adapter(self._context, folder, low, recipe, on_epoch)
        _write_card(folder, "adapter", plan, fitted, recipe, files, asdict(low))
        _draw(fitted, plot)
        worse = ("no epoch was better than changing nothing: more pairs may help",) if fitted.best == 0 else ()
        return _result(folder, fitted, worse, f"adapter:{folder.path}")

    def _replay(
        self, record: SpaceRecord, base: Space, shape: ProjectionShape, contents: Sequence[int]
    ) -> dict[Modality, Vectors]:
        with self._context.catalog().reading() as snapshot:
            vectors = {one: vectors_of_others(snapshot, record, one, contents, REPLAY) for one in shape.modalities}
        if "text" in vectors:
            # Most libraries hold few passages, and all are searched by words.
            vectors["text"] = np.concatenate([vectors["text"], neutral.neutral_vectors(base)["text"]])
        return {one: rows[np.isfinite(rows).all(axis=1)] for one, rows in vectors.items()}

    def _train(self, folder: ModelFolder, plot: Any, on_epoch: OnEpoch | None) -> TrainingResult:
        plan, arrays = folder.plan(), folder.data()
        shape, recipe = folder.settings(ProjectionShape, plan["shape"]), folder.settings(Recipe, plan["recipe"])
        with folder.making_sense():
            replay = {m: arrays.pop(f"replay.{m}") for m in shape.modalities}
            tested = arrays.pop("tested", np.empty((0, 2), np.int64))
            examples = PairExamples(**arrays)
        device, dtype = resolve(self._context.settings.devices[0], self._context.settings.precision)
        task = ProjectionTask(shape, examples, replay, recipe.loss, recipe.seed, device)
        half = dtype if device.type == "cuda" and dtype != torch.float32 else None
        keep = folder.path / CHECKPOINT
        fitted = fit_task(task, recipe, keep=keep, device=device, half=half, on_epoch=on_epoch)
        measured = task.test(tested)
        told = [f"on the test pairs: {', '.join(f'{k} {v:.3f}' for k, v in measured.items())}"] if measured else []
        noted = {**plan, "warnings": [*plan["warnings"], *told]}
        self._finish(folder, noted, task.projection.cpu(), fitted, recipe, shape)
        _draw(fitted, plot)
        warnings = list(plan["warnings"])
        if fitted.best == 0:
            warnings.append("no epoch was better than changing nothing: more pairs may help, or --modality with text")
        return replace(_result(folder, fitted, warnings), test=measured)

    def _finish(
        self,
        folder: ModelFolder,
        plan: dict[str, Any],
        made: Projection,
        fitted: FitResult,
        recipe: Recipe,
        shape: ProjectionShape,
    ) -> None:
        facts = {"base": plan["base"], "fingerprint": plan["fingerprint"], "name": plan["name"]}
        content = dump_projection(made, facts)
        checkpoint.write_whole(content, folder.path / PROJECTION)
        _write_card(folder, "projection", plan, fitted, recipe, {PROJECTION: card.sha256(content)}, asdict(shape))


def _write_card(
    folder: ModelFolder, kind: str, plan: dict[str, Any], fitted: FitResult, recipe: Recipe, files: dict[str, str],
    shape: dict[str, Any],
) -> None:  # fmt: skip
    """With it the model is finished."""
    history = [epoch.as_row() for epoch in fitted.history]
    written = card.ModelCard(
        plan["name"], kind, plan["base"], plan["fingerprint"],
        [card.TrainingSource(**one) for one in plan["sources"]], plan["splits"], recipe, plan["command"],
        fitted.history[0].measures, fitted.measures, fitted.best, history, files, VERSION, shape, plan["warnings"],
    )  # fmt: skip
    card.write_card(written, folder.path)
    (folder.path / CHECKPOINT).unlink(missing_ok=True)


def _active(record: SpaceRecord) -> ActiveSpace:
    return ActiveSpace(record.name, record.dim, record.fingerprint)


def _check_plot(path: str | os.PathLike[str] | None) -> None:
    if path is not None:
        evaluation.plot.require(Path(path))


def _draw(fitted: FitResult, path: str | os.PathLike[str] | None) -> None:
    if path is not None:
        plot.draw_training(fitted.history, fitted.best, Path(path))


def _result(
    folder: ModelFolder, fitted: FitResult, warnings: Sequence[str], space: str | None = None
) -> TrainingResult:
    return TrainingResult(
        folder.name, folder.path, fitted.best, len(fitted.history) - 1, fitted.history[0].measures,
        fitted.measures, (), tuple(warnings), space,
    )  # fmt: skip


def _source(judged: JudgedPairs, used: int) -> card.TrainingSource:
    return card.TrainingSource(
        os.fspath(judged.source), card.sha256(judged.source.read_bytes()), used, len(judged.unused)
    )


def _modalities(examples: PairExamples) -> tuple[Modality, ...]:
    numbers = {*np.unique(examples.segment_kinds).tolist(), *np.unique(examples.query_kinds).tolist()}
    # Clips of videos are no kind of their own there.
    seen = {KINDS[number] for number in numbers if number >= 0}
    return tuple(sorted(seen - {"text"})) or ("text",)


def _splits(examples: PairExamples, tested: Ints) -> dict[str, int]:
    held = examples.held
    return {
        "training pairs": int((~held).sum()),
        "validation pairs": int(held.sum()),
        **({"test pairs": len(tested)} if len(tested) else {}),
        "training groups": len(np.unique(examples.groups[~held])),
        "validation groups": len(np.unique(examples.groups[held])),
    }
