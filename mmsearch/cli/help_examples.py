"""The examples that end every `--help`; a test asks for two or three for each command, and parses them."""

from collections.abc import Iterator, Mapping, Sequence

import click

EXAMPLES: Mapping[str, Sequence[str]] = {
    "": (
        'mmsearch query "a red bus" ~/Pictures',
        "mmsearch ingest ~/Sounds ~/Videos",
        "mmsearch help guide",
    ),
    "ingest": (
        "mmsearch ingest ~/Pictures ~/Sounds",
        "mmsearch ingest ~/Media --in image,audio --exclude '*.png' --dry-run",
        "mmsearch ingest ~/Pictures --library new.library --space siglip2-b-16",
    ),
    "query": (
        'mmsearch query "a red bus" ~/Pictures',
        "mmsearch query bark.wav --in photos -k 20 --explain",
        "mmsearch query beach + sunset.jpg - 0.5:people --filter 'taken >= 2024-05'",
    ),
    "serve": (
        "mmsearch serve --open",
        "mmsearch serve --watch --manage",
        "mmsearch serve --host 192.168.1.5 --token-file token --allow-host media.home",
    ),
    "mcp": (
        "mmsearch mcp --library photos.library",
        "mmsearch mcp --filter 'tag = teaching'",
        "mmsearch mcp --http --host 192.168.1.5 --token-file token",
    ),
    "searches": (
        "mmsearch searches",
        "mmsearch searches --save 'dogs of May=text=dog&filter=taken = 2024-05'",
        "mmsearch searches --forget 'dogs of May'",
    ),
    "duplicates": (
        "mmsearch duplicates --in image",
        "mmsearch duplicates --threshold 0.98 --filter \"path glob '*/2024/*'\"",
        "mmsearch duplicates --paths -0 | xargs -0 ls -l",
    ),
    "watch": (
        "mmsearch watch ~/Pictures ~/Sounds",
        "mmsearch watch ~/Media --exclude '*.tmp' --library photos.library",
    ),
    "worker": (
        "mmsearch worker --library 'postgresql://me@db/media' --device cuda:1",
        "mmsearch worker --library 'postgresql://me@db/media' --map /nas/photos=/mnt/photos --until-empty",
    ),
    "move": (
        "mmsearch move photos.library 'postgresql://me@db/media?schema=photos'",
        "mmsearch move 'postgresql://me@db/media?schema=photos' copy.library",
    ),
    "service": (
        "mmsearch service install ~/Pictures",
        "mmsearch service remove",
    ),
    "service install": (
        "mmsearch service install ~/Pictures ~/Sounds",
        "mmsearch service install ~/Work --library work.library --name work",
        "mmsearch service install --serve --token-file token",
    ),
    "service remove": (
        "mmsearch service remove",
        "mmsearch service remove --name work",
    ),
    "encrypt": (
        "mmsearch encrypt",
        "mmsearch encrypt passphrase --library photos.library",
        "mmsearch encrypt file:/media/usb/photos.key",
    ),
    "rekey": (
        "mmsearch rekey passphrase",
        "mmsearch rekey --new-key",
    ),
    "warm": (
        "mmsearch warm status",
        "mmsearch warm stop",
    ),
    "warm status": (
        "mmsearch warm status",
        "mmsearch warm status --json",
    ),
    "warm stop": (
        "mmsearch warm stop",
        "mmsearch warm stop && mmsearch warm status",
    ),
    "status": (
        "mmsearch status",
        "mmsearch status --library photos.library --json",
    ),
    "failures": (
        "mmsearch failures",
        "mmsearch failures --retry timeout",
    ),
    "remove": (
        "mmsearch remove ~/Pictures/private",
        "mmsearch remove photo.jpg --library photos.library --prove",
    ),
    "prune": (
        "mmsearch prune",
        "mmsearch prune --excluded --prove",
        "mmsearch prune ~/Pictures --exclude '*.tmp'",
    ),
    "roots": (
        "mmsearch roots",
        "mmsearch roots ~/Pictures --exclude private/ --exclude '*.tmp'",
        "mmsearch roots ~/Pictures --include '*.tmp'",
    ),
    "backup": (
        "mmsearch backup photos.backup",
        "mmsearch backup /mnt/usb/photos.backup --force",
    ),
    "restore": (
        "mmsearch restore photos.backup --library new.library",
        "mmsearch restore photos.backup --force",
    ),
    "export": (
        "mmsearch export exported",
        "mmsearch export to-share --anonymise --keep dates --without-vectors",
        "mmsearch export exported --library photos.library --json",
    ),
    "import": (
        "mmsearch import exported --library new.library",
        "mmsearch import exported --root /home/ann/Pictures=/mnt/pictures",
    ),
    "items": (
        "mmsearch items --filter 'tag = dog and meta.rating >= 4'",
        "mmsearch items photo.jpg --json",
        "mmsearch items --in image --count",
    ),
    "tag": (
        "mmsearch tag photo.jpg --add dog --add garden --meta rating=5",
        "mmsearch tag ~/Pictures/Rome --add rome --meta taken-by='Ada Lovelace' --meta due=2027-01-31",
        "mmsearch tag photo.jpg --remove dog --meta rating=",
    ),
    "label": (
        'mmsearch label --as "cat,dog,car" --in image',
        'mmsearch label --as "cat,dog,car" --min-confidence 0.9 --save',
        "mmsearch label --with places --json",
    ),
    "evaluate": (
        "mmsearch evaluate pairs.tsv",
        "mmsearch evaluate pairs.tsv --direction text-image --k 1,10 --plot recall.png",
    ),
    "index": (
        "mmsearch index status",
        "mmsearch index tune --recall 0.98",
    ),
    "index presets": (
        "mmsearch index presets",
        "mmsearch index presets --json",
    ),
    "index status": (
        "mmsearch index status",
        "mmsearch index status --library photos.library --json",
    ),
    "index tune": (
        "mmsearch index tune",
        "mmsearch index tune --recall 0.98",
    ),
    "index build": (
        "mmsearch index build",
        "mmsearch index build --preset ivf-pq --recall 0.9",
    ),
    "index verify": (
        "mmsearch index verify",
        "mmsearch index verify --repair",
    ),
    "train": (
        "mmsearch train projection pairs.tsv --name stamps",
        "mmsearch train apply stamps",
        "mmsearch train apply --base",
    ),
    "train projection": (
        "mmsearch train projection pairs.tsv --name stamps --plot curves.png",
        "mmsearch train projection --weak names,folders,tags --valid checked.tsv",
        "mmsearch train projection --resume --name stamps",
    ),
    "train adapter": (
        "mmsearch train adapter pairs.tsv --library photos.library --rank 16",
        "mmsearch train adapter pairs.tsv --towers image --loss sigmoid --precision bf16",
    ),
    "train fusion": (
        "mmsearch train fusion pairs.tsv --name ours --strategy mean",
        "mmsearch train fusion --resume --name ours",
    ),
    "train labels": (
        "mmsearch train labels labels.tsv --name places",
        "mmsearch train labels labels.tsv --head mlp --confusion confusion.png",
    ),
    "train list": (
        "mmsearch train list",
        "mmsearch train list --json",
    ),
    "train apply": (
        "mmsearch train apply stamps",
        "mmsearch train apply --base",
    ),
    "train drop": (
        "mmsearch train drop stamps",
        "mmsearch train drop stamps --library photos.library",
    ),
    "model": (
        "mmsearch model add siglip2-b-16",
        "mmsearch model switch siglip2-b-16",
    ),
    "model add": (
        "mmsearch model add siglip2-b-16",
        "mmsearch model add siglip2-b-16 --retry --workers 4",
    ),
    "model switch": (
        "mmsearch model switch siglip2-b-16",
        "mmsearch model switch siglip2-b-16 --when-complete",
    ),
    "model drop": (
        "mmsearch model drop starter",
        "mmsearch model drop starter --library photos.library",
    ),
    "model list": (
        "mmsearch model list",
        "mmsearch model list --json",
    ),
    "extract": (
        "mmsearch extract add speech",
        "mmsearch extract add ocr ~/Scans",
        "mmsearch extract list",
    ),
    "extract add": (
        "mmsearch extract add speech --dry-run",
        "mmsearch extract add ocr ~/Scans --workers 4",
    ),
    "extract list": (
        "mmsearch extract list",
        "mmsearch extract list --json",
    ),
    "extract drop": (
        "mmsearch extract drop ocr",
        "mmsearch extract drop speech --library talks.library",
    ),
    "transcript": (
        "mmsearch transcript talk.mp4",
        "mmsearch transcript talk.mp4 --srt > talk.srt",
    ),
    "models": (
        "mmsearch models",
        "mmsearch models --cost --library photos.library",
        "mmsearch models --json",
    ),
    "prepare": (
        "mmsearch prepare",
        "mmsearch prepare embeddinggemma-2",
        "mmsearch prepare siglip2-b-16 --from /media/usb/ViT-B-16-SigLIP2",
    ),
    "connect": (
        "mmsearch connect siglip2-b-16 clap-htsat --name both",
        "mmsearch connect siglip2-b-16 clap-htsat --name both --texts captions.txt",
    ),
    "doctor": (
        "mmsearch doctor",
        "mmsearch doctor --library photos.library --device cuda",
        "mmsearch doctor --mend",
    ),
    "config": (
        "mmsearch config",
        "mmsearch config --library photos.library --json",
    ),
    "token": (
        "mmsearch token create ann",
        "mmsearch token list",
    ),
    "token create": (
        "mmsearch token create ann --filter 'tag = public'",
        "mmsearch token create bob --scope manage",
    ),
    "token list": (
        "mmsearch token list",
        "mmsearch token list --json",
    ),
    "token revoke": (
        "mmsearch token revoke ann",
        "mmsearch token revoke ann --library photos.library",
    ),
    "privacy": (
        "mmsearch privacy show",
        "mmsearch privacy set --places rounded --people no",
        "mmsearch privacy apply",
    ),
    "privacy show": (
        "mmsearch privacy show",
        "mmsearch privacy show --json",
    ),
    "privacy set": (
        "mmsearch privacy set --places none",
        "mmsearch privacy set --people no --tags no --library photos.library",
    ),
    "privacy apply": (
        "mmsearch privacy apply",
        "mmsearch privacy apply --json",
    ),
    "audit": (
        "mmsearch audit list",
        "mmsearch audit verify",
    ),
    "audit list": (
        "mmsearch audit list --who ann",
        "mmsearch audit list -n 500 --json",
    ),
    "audit verify": (
        "mmsearch audit verify",
        "mmsearch audit verify --json",
    ),
    "completion": (
        "mmsearch completion bash > ~/.local/share/bash-completion/completions/mmsearch",
        "mmsearch completion zsh > ~/.zfunc/_mmsearch",
        "mmsearch completion fish > ~/.config/fish/completions/mmsearch.fish",
    ),
    "demo": (
        "mmsearch demo",
        "mmsearch demo --device cpu",
    ),
    "examples": (
        "mmsearch examples",
        "mmsearch examples shop",
        "mmsearch examples photos ~/my-photo-app",
    ),
    "help": (
        "mmsearch help",
        "mmsearch help filters",
        "mmsearch help guide > guide.md",
    ),
}
"""Command, without "mmsearch" -> two or three examples, as typed in a POSIX shell."""


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command of a group and of the groups in it, and the group itself first: (words that name it, command)."""
    yield path, group
    for name, command in group.commands.items():
        words = f"{path} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, words)
        else:
            yield words, command


def add_examples(group: click.Group) -> None:
    """End the help of each command with its examples, before what it ended with."""
    for path, command in commands(group):
        lines = "".join(f"  {example}\n" for example in EXAMPLES.get(path, ()))
        if lines:
            command.epilog = f"\b\nExamples:\n{lines}\n{command.epilog or ''}"
