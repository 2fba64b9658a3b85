"""The table: the run's networks and the peers, one row each; a peer's seeds share a row."""
import math
import statistics

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


def count_text(value):
    """As mfi writes counts: 1.33 M, 771.5 k, 464."""
    for size, unit, digits in ((1e9, " G", 2), (1e6, " M", 2), (1e3, " k", 1)):
        if value >= size:
            return f"{value / size:.{digits}f}{unit}"
    return f"{value:.0f}"


def cells(row, teacher):
    """The row's texts, in the header's order. Of several seeds the mean, and the lowest and the highest accuracy."""
    def count(key):
        mean = statistics.mean(row[key])
        return [count_text(mean), f"{100 * mean / teacher[key][0]:.1f} %"]

    top1 = row["test_top1_percent"]
    accuracy = f"{statistics.mean(top1):.2f} %"
    if len(top1) > 1:
        accuracy += f" ({min(top1):.2f} to {max(top1):.2f})"
    name = row["name"] + (f", {TRAINED[row['recipe']]}" if "recipe" in row else "")
    return [name, row["by"], str(row["epochs"])] + count("parameters") + count("macs") + [accuracy, str(len(top1))]


def text_table(rows):
    body = [cells(row, rows[0]) for row in rows]
    widths = [max(len(line[i]) for line in [HEADER] + body) for i in range(len(HEADER))]

    def line(words):
        return "  ".join(word.rjust(w) if right else word.ljust(w)
                         for word, w, right in zip(words, widths, RIGHT)).rstrip()

    return "\n".join([line(HEADER), "-" * (sum(widths) + 2 * (len(widths) - 1))] + [line(words) for words in body]) + "\n"


def markdown_table(rows):
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "|".join("---:" if right else "---" for right in RIGHT) + "|"]
    lines += ["| " + " | ".join(cells(row, rows[0])) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def chance_points(one_percent, other_percent, images):
    """Difference of two accuracies that chance alone exceeds once in twenty, as in mfi/report/verdict.cpp."""
    variance = sum(percent * max(0, 100 - percent) / images for percent in (one_percent, other_percent))
    return 1.96 * math.sqrt(variance)


def notes(rows, training_images, test_images):
    """What has to be said under the table."""
    hybrid = next(row for row in rows if row["name"] == "hybrid")["test_top1_percent"][0]
    lines = [f"{training_images} training images, {test_images} test images. Epochs: all that a network's weights have "
             "seen, the teacher's among them where they come from it.",
             f"A difference below {chance_points(hybrid, hybrid, test_images):.1f} points may be chance; the training's "
             "own (order of images, random pruning) is what several seeds show."]
    names = {row["name"] for row in rows}
    missing = [name for name in ("smaller-resnet", "distilled-resnet") if name not in names]
    if missing:
        lines.append(f"Not run: {' and '.join(missing)} (--controls trains them).")
    return lines
