"""What peers.py leaves in its folder: a file for each peer, and table, chart and data of all."""
import json
from pathlib import Path

import chart
import table
from errors import PeersError
from whole_file import replace_file, write_json


def read_done(path, settings):
    """The result in the file, where it is one of just these settings; else None. Raises PeersError for a damaged file."""
    try:
        done = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PeersError(f"{path}: cannot be read ({error}); remove it, and that peer is trained again")
    return done if done.get("settings") == settings else None


def write_all(folder, run, teacher_check, peers):
    """table.txt, table.md, chart.svg and peers.json; returns the table as text."""
    rows = run.rows() + table.peer_rows(peers, run.teacher_epochs())
    under = table.notes(rows, run.results["training_images"], run.results["test_images"], run.labelled())
    text = table.as_text(rows) + "\n" + "\n".join(under) + "\n"
    replace_file(folder / "table.txt", text)
    replace_file(folder / "table.md", table.as_markdown(rows) + "\n" + "\n\n".join(under) + "\n")
    replace_file(folder / "chart.svg", chart.chart(rows, f"{run.results['run']}: the hybrid and its peers"))
    write_json(folder / "peers.json", {"run": run.results["run"], "dataset": run.results["dataset"],
                                       "training_images": run.results["training_images"],
                                       "test_images": run.results["test_images"], "teacher_check": teacher_check,
                                       "rows": rows, "peers": [peer["peer"] for peer in peers]})
    return text
