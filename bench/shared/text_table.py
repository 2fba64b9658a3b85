"""Tables as text and as Markdown, and how their figures are written."""
import math
import statistics


def count_text(value):
    """As mfi writes counts: 1.33 M, 771.5 k, 464."""
    for size, unit, digits in ((1e9, " G", 2), (1e6, " M", 2), (1e3, " k", 1)):
        if value >= size:
            return f"{value / size:.{digits}f}{unit}"
    return f"{value:.0f}"


def share_text(part, whole):
    return f"{100 * part / whole:.1f} %"


def accuracy_text(percents):
    """Of several seeds the mean, and the lowest and the highest."""
    text = f"{statistics.mean(percents):.2f} %"
    if len(percents) > 1:
        text += f" ({min(percents):.2f} to {max(percents):.2f})"
    return text


def text_table(header, right, body):
    """right: for each column whether it is aligned to its right end."""
    widths = [max(len(line[i]) for line in [header] + body) for i in range(len(header))]

    def line(words):
        return "  ".join(word.rjust(w) if to_right else word.ljust(w)
                         for word, w, to_right in zip(words, widths, right)).rstrip()

    return "\n".join([line(header), "-" * (sum(widths) + 2 * (len(widths) - 1))] + [line(words) for words in body]) + "\n"


def markdown_table(header, right, body):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---:" if to_right else "---" for to_right in right) + "|"]
    lines += ["| " + " | ".join(words) + " |" for words in body]
    return "\n".join(lines) + "\n"


def chance_points(one_percent, other_percent, images):
    """Difference of two accuracies that chance alone exceeds once in twenty, as in mfi/report/verdict.cpp."""
    variance = sum(percent * max(0, 100 - percent) / images for percent in (one_percent, other_percent))
    return 1.96 * math.sqrt(variance)
