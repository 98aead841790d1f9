"""A poster shop: picture and description are one item, price and brand are filters, and "like this, but"."""

import json
import shutil
from pathlib import Path

import mmsearch

HERE = Path(__file__).resolve().parent
PRODUCTS = json.loads((HERE / "products.json").read_text("utf-8"))


def fill(library: mmsearch.Library) -> None:
    """A product is a photo and, beside it under the same name, what the shop says of it: so they are one item."""
    shelf = HERE / "shelf"
    shelf.mkdir(exist_ok=True)
    for product in PRODUCTS:
        photo = HERE / "media" / product["photo"]
        shutil.copy2(photo, shelf / photo.name)
        (shelf / photo.with_suffix(".txt").name).write_text(f"{product['name']}\n\n{product['says']}\n", "utf-8")
    library.ingest(shelf)
    for product in PRODUCTS:
        photo = shelf / Path(product["photo"]).name
        # Both files: a filter looks at each.
        library.set_meta([photo, photo.with_suffix(".txt")], {key: product[key] for key in ("name", "brand", "price")})


def show(title: str, library: mmsearch.Library, hits: list[mmsearch.Hit]) -> None:
    print(title)
    for hit in hits:
        item = library.get(hit.item_id)
        if item is not None:
            print(f"  {item.meta['name']}, {item.meta['brand']}, {item.meta['price']:.2f}")


def main() -> None:
    with mmsearch.open(HERE / "library") as library:
        fill(library)
        found = library.search("something for a kitchen", 3)
        show("For a kitchen:", library, found)
        show("Below 25:", library, library.search("something for a kitchen", 3, filter="meta.price < 25"))
        show("By Metro:", library, library.search("evening", 3, filter="meta.brand = Metro and meta.price < 20"))
        stop = library.search("a stop sign", 1)[0]
        show(
            "Like the stop sign, but red flowers:",
            library,
            library.search(mmsearch.Query(like=stop) + mmsearch.Query("red flowers"), 1),
        )


if __name__ == "__main__":
    main()
