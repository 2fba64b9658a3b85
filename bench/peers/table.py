"""The table: the run's networks and the peers, one row each; a peer's seeds share a row."""
import statistics

from text_table import accuracy_text, chance_points, count_text, markdown_table, share_text, text_table

HEADER = ("network", "made by", "epochs", "parameters", "share", "MACs", "share", "test top-1", "seeds")
RIGHT = (False, False, True, True, True, True, True, True, True)
METHODS = {"group-norm": "group magnitude", "bn-scale": "BN scale", "random": "random",
           "group-sl": "group magnitude after training towards sparsity",
           "bn-sl": "BN scale after training towards sparsity"}
MATCHES = {"params": "the hybrid's parameters", "macs": "the hybrid's MACs"}
SCOPES = {"global": "all layers ranked together", "local": "as large a share of each layer"}
TRAINED = {"users": "its users' settings", "ours": "the hybrid's settings"}


KIND = ("method", "match", "scope", "recipe")  # of a peer; what its seeds have in common


def peer_rows(peers, teacher_epochs):
    """peers: what their result files hold. Seeds of one kind are put together, in the order in which kinds come."""
    kinds = {}
    for peer in peers:
        kinds.setdefault(tuple(peer[key] for key in KIND), []).append(peer)
    rows = []
    for kind, of_kind in kinds.items():
        method, match, scope, recipe = kind
        rows.append(dict(zip(KIND, kind)) | {
                     "name": f"{method}, {match}, {scope}", "by": "Torch-Pruning", "detail":
                     f"{METHODS[method]}, {SCOPES[scope]}, pruned to {MATCHES[match]}, trained with {TRAINED[recipe]}",
                     "epochs": teacher_epochs + of_kind[0]["settings"]["epochs"],
                     "parameters": [peer["parameters"] for peer in of_kind], "macs": [peer["macs"] for peer in of_kind],
                     "test_top1_percent": [peer["test_top1_percent"] for peer in of_kind]})
    return rows


def cells(row, teacher):
    """The row's texts, in the header's order."""
    def count(key):
        mean = statistics.mean(row[key])
        return [count_text(mean), share_text(mean, teacher[key][0])]

    top1 = row["test_top1_percent"]
    name = row["name"] + (f", {TRAINED[row['recipe']]}" if "recipe" in row else "")
    return [name, row["by"], str(row["epochs"])] + count("parameters") + count("macs") + [accuracy_text(top1), str(len(top1))]


def as_text(rows):
    return text_table(HEADER, RIGHT, _body(rows))


def as_markdown(rows):
    return markdown_table(HEADER, RIGHT, _body(rows))


def _body(rows):
    return [cells(row, rows[0]) for row in rows]


def notes(rows, training_images, test_images, labelled=1):
    """What has to be said under the table. labelled: share of the training images."""
    named = {row["name"]: row for row in rows}
    near = named.get("hybrid", named["teacher"])["test_top1_percent"][0]
    lines = [f"{training_images} training images, {test_images} test images. Epochs: all that a network's weights have "
             "seen, the teacher's among them where they come from it.",
             f"A difference below {chance_points(near, near, test_images):.1f} points may be chance; the training's "
             "own (order of images, random pruning) is what several seeds show."]
    if labelled < 1:
        lines.append(f"After the teacher's training {100 * labelled:g} % of the training images have labels.")
    missing = [name for name in ("smaller-resnet", "distilled-resnet") if name not in named]
    if missing:
        lines.append(f"Not run: {' and '.join(missing)} (--controls trains them).")
    return lines
