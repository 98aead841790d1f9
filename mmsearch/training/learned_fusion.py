"""What `Library.train.fusion` does: from pairs to bundles of the library, and to a fusion that is kept in it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mmsearch.catalog import GroupFile, group_rules
from mmsearch.catalog.file_groups import group_members, group_segments
from mmsearch.catalog.items import present_items_at
from mmsearch.context.context import LibraryContext
from mmsearch.core.version import VERSION
from mmsearch.encoders.fusion import FusionFacts, FusionItems, dump_fusion, fusion_items
from mmsearch.errors import InvalidInput
from mmsearch.evaluate import JudgedPairs, Pair, UnusedPair
from mmsearch.training import splits
from mmsearch.training.attack import Attack
from mmsearch.training.examples import HELD_BACK, EmbedFile, absence, embedded
from mmsearch.training.fusion_task import FusionQueries, FusionShape, FusionTask
from mmsearch.training.loop import FitResult, OnEpoch, fit_task
from mmsearch.training.losses import LOSSES
from mmsearch.training.serving import card, checkpoint
from mmsearch.training.serving.folder import CHECKPOINT, FUSION, Arrays, ModelFolder
from mmsearch.training.serving.recipe import Recipe
from mmsearch.training.serving.records import KINDS, TrainingPlan
from mmsearch.types import Modality, Space, Vectors

KIND = "fusion"

_Link: TypeAlias = tuple[Pair, tuple[GroupFile, ...], int]
"""A question, the files of the bundle it asks for without its own, and the item that leads the bundle."""


@dataclass(frozen=True, slots=True)
class FusionPlan(TrainingPlan):
    """The modalities as well."""

    kind: str
    modalities: tuple[Modality, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GatheredGroups:
    """Bundles, and the queries that they answer."""

    items: FusionItems
    queries: FusionQueries
    held: Any
    """bool (n,): queries that validate."""
    unused: tuple[UnusedPair, ...]

    def arrays(self) -> Arrays:
        queries = self.queries
        return {
            "vectors": self.items.vectors, "kinds": self.items.kinds, "queries": queries.queries,
            "items": queries.items, "groups": queries.groups, "held": self.held,
        }  # fmt: skip


def fusion_settings(chosen: Mapping[str, Any]) -> tuple[Recipe, FusionShape]:
    """Raises: InvalidInput for what is no setting, or none that makes sense."""
    values = dict(chosen)
    attack = Attack(**{key: values.pop(key) for key in ("radius", "steps") if key in values},
                    **({"name": values.pop("attack")} if "attack" in values else {}))  # fmt: skip
    of_recipe, of_shape = ({one.name for one in fields(kind)} for kind in (Recipe, FusionShape))
    if unknown := set(values) - of_recipe - of_shape:
        raise InvalidInput(f"unknown training settings: {', '.join(sorted(unknown))}")
    recipe = Recipe(**{name: value for name, value in values.items() if name in of_recipe})
    if recipe.loss not in LOSSES:
        raise InvalidInput(f"unknown loss {recipe.loss!r}", hint=f"known: {', '.join(LOSSES)}")
    return recipe, FusionShape(**{name: value for name, value in values.items() if name in of_shape}, attack=attack)


def prepare_fusion(
    context: LibraryContext,
    judged: JudgedPairs,
    name: str,
    chosen: Mapping[str, Any],
    embed_file: EmbedFile,
    command: str,
) -> tuple[FusionPlan, GatheredGroups]:
    """What a training begins with. Raises: InvalidInput."""
    recipe, shape = fusion_settings(chosen)
    gathered = gather_groups(judged, context, embed_file, recipe.seed)
    space, _ = context.base()
    digest = card.sha256(judged.source.read_bytes())
    origin = card.TrainingSource(os.fspath(judged.source), digest, len(gathered.held), len(gathered.unused))
    sides = {"training pairs": int((~gathered.held).sum()), "validation pairs": int(gathered.held.sum())}
    plan = FusionPlan(
        name, space.name, space.fingerprint, command, asdict(recipe), asdict(shape), (asdict(origin),), sides, (),
        KIND, gathered.items.modalities,
    )  # fmt: skip
    return plan, gathered


def gather_groups(judged: JudgedPairs, context: LibraryContext, embed_file: EmbedFile, seed: int) -> GatheredGroups:
    """Every pair's query and the bundle of each of its files. A file that asks for its own bundle is left out of it.

    Raises: InvalidInput if too few can be used, or a vector is not a number.
    """
    space, record = context.base()
    known, unused = _bundles(judged, context), list(judged.unused)
    links: list[_Link] = []
    for pair in judged.pairs:
        own = {id(files[0]): files for path in pair.relevant if (files := known.get(path))}
        unused += [
            UnusedPair(pair.source, pair.line, _alone(path, context)) for path in pair.relevant if path not in known
        ]
        for files in own.values():
            left = tuple(file for file in files if Path(os.fsdecode(file.path)) != pair.query)
            links += [(pair, left, files[0].item_id)] if left else []
    vectors, refused = embedded([pair for pair, _, _ in links], space, embed_file)
    links = [link for link in links if id(link[0]) in vectors]
    if not links:
        raise InvalidInput(
            f"no pair of {judged.source.name} asks for a group of files of the library",
            hint="a group is files of one stem in one folder, such as dog.jpg and dog.txt; see mmsearch help guide",
        )
    items = fusion_items(_segments(links, context, space, record.name), KINDS)
    queries = np.stack([vectors[id(pair)][1] for pair, _, _ in links]).astype(np.float32)
    if not np.isfinite(queries).all():
        raise InvalidInput(f"a query of {judged.source.name} leads to a vector that is not a number")
    means = items.vectors.sum(axis=1)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    grouped = splits.split_groups(len(links), [lead for _, _, lead in links], vectors=means)
    questions = FusionQueries(queries, np.arange(len(links)), grouped)
    return GatheredGroups(items, questions, splits.split_held_back(grouped, HELD_BACK, seed), (*unused, *refused))


def _bundles(judged: JudgedPairs, context: LibraryContext) -> dict[Path, tuple[GroupFile, ...]]:
    """The bundle of each relevant file that has one."""
    names = {path: os.fsencode(os.path.realpath(path)) for pair in judged.pairs for path in pair.relevant}
    names |= {path: os.fsencode(path) for path in names if not os.path.islink(path)}
    with context.catalog().reading() as snapshot:
        at = present_items_at(snapshot, sorted(set(names.values())))
        ids = {name: item.item_id for name, item in at.items()}
        groups = group_members(snapshot, ids.values())
    together = {
        file.item_id: files
        for members in groups.values()
        if (files := group_rules.ordered_group(members))
        for file in files
    }
    return {path: together[ids[name]] for path, name in names.items() if ids.get(name) in together}


def _alone(path: Path, context: LibraryContext) -> str:
    with context.catalog().reading() as snapshot:
        there = present_items_at(snapshot, [os.fsencode(path), os.fsencode(os.path.realpath(path))])
    return f"shares its stem with no other file: {path}" if there else absence(path)


def _segments(
    links: Sequence[_Link], context: LibraryContext, space: Space, name: str
) -> list[dict[Modality, Vectors]]:
    files = list({file.item_id: file for _, members, _ in links for file in members}.values())
    with context.catalog().reading() as snapshot:
        segments, vectors = group_segments(snapshot, name, space.dim, files)
    return group_rules.vectors_by_modality([members for _, members, _ in links], segments, vectors)


def train_fusion(folder: ModelFolder, on_epoch: OnEpoch | None) -> FitResult:
    """Begin or go on, and keep the model with its card. Raises: as `loop.fit`."""
    plan, arrays = folder.plan(), folder.data()
    recipe, shape = folder.settings(Recipe, plan["recipe"]), folder.settings(FusionShape, plan["shape"])
    with folder.making_sense():
        queries = FusionQueries(arrays["queries"], arrays["items"], arrays["groups"])
        items, held = FusionItems(arrays["vectors"], arrays["kinds"], tuple(plan["modalities"])), arrays["held"]
        task = FusionTask(shape, items, queries.only(~held), queries.only(held), recipe.loss, recipe.seed)
    fitted = fit_task(task, recipe, keep=folder.path / CHECKPOINT, on_epoch=on_epoch)
    facts = FusionFacts(shape.strategy, items.vectors.shape[2], items.modalities, plan["base"], plan["fingerprint"])
    content = dump_fusion(task.fusion, facts)
    checkpoint.write_whole(content, folder.path / FUSION)
    history = [epoch.as_row() for epoch in fitted.history]
    written = card.ModelCard(
        plan["name"], KIND, plan["base"], plan["fingerprint"], [card.TrainingSource(**one) for one in plan["sources"]],
        plan["splits"], recipe, plan["command"], fitted.history[0].measures, fitted.measures, fitted.best, history,
        {FUSION: card.sha256(content)}, VERSION, asdict(shape), plan["warnings"],
    )  # fmt: skip
    card.write_card(written, folder.path)
    (folder.path / CHECKPOINT).unlink(missing_ok=True)
    return fitted
