#!/usr/bin/env python3
"""Keeps what `mfi search` has chosen, before another search in the same folder chooses something else.

usage: chosen.py RUN SIZE

The recipe of the point that RUN/search/front.json calls chosen becomes RUN/sizes/SIZE.toml (it speaks of its teacher as
../teacher, which is right there too), what the search says of that point RUN/sizes/SIZE.json.
"""
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the source tree may be somebody else's
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "shared"))
from errors import StudyError  # noqa: E402
from run_files import read_json, step_records  # noqa: E402
from whole_file import replace_file, write_json  # noqa: E402


def keep_chosen(run, size, asked=None):
    """asked: the search's words for --set, to be known again."""
    front_file = run / "search/front.json"
    front = read_json(front_file)
    if front is None:
        raise StudyError(f"{front_file}: there is none; run `mfi search` first")
    chosen = [point for point in front["points"] if point["chosen"]]
    if not chosen:
        raise StudyError(f"{front_file}: no network was chosen for {front['target'] or 'no target'}: none that was found is "
                         "small enough")
    recipe_file = run / "search" / f"{chosen[0]['name']}.toml"
    try:
        recipe = recipe_file.read_text()
    except OSError as error:
        raise StudyError(f"{recipe_file}: {error.strerror}, though front.json names it")
    teacher = step_records(run)[0].get("teacher")
    if teacher is None:
        raise StudyError(f"{run}: there is no teacher, though it was searched for smaller ones; run `mfi search` again")
    (run / "sizes").mkdir(exist_ok=True)
    replace_file(run / "sizes" / f"{size}.toml", recipe)
    shown = {key: front[key] for key in ("target", "held_out_images", "tuned_epochs", "tuned_images", "machine", "version")}
    # Last: a size is kept when this file is there.
    write_json(run / "sizes" / f"{size}.json", shown | {
        "chosen": chosen[0], "teacher": front["teacher"], "teacher_sha256": teacher["model_sha256"]} | (
            {} if asked is None else {"asked": asked}))


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: chosen.py RUN SIZE")
    try:
        keep_chosen(Path(sys.argv[1]), sys.argv[2])
    except StudyError as error:
        sys.exit(f"chosen.py: {error}")


if __name__ == "__main__":
    main()
