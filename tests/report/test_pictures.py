"""`clipbench report --png`: a picture of each chart, and of the losses and recalls of each run."""

import io
from dataclasses import replace

import pytest
import vl_convert
from click.testing import CliRunner
from PIL import Image

from clipbench.cli import main
from clipbench.report.page.charts import CHARTS, PARTS, history_chart
from clipbench.report.page.run_curves import run_curves
from clipbench.report.page.stills import fewer_colours
from clipbench.results.result import write_result
from tests.support.report_results import failed, make_result

PNG = b"\x89PNG\r\n\x1a\n"
RUN_COLOURS = PARTS["picture"]["run_colours"]
STATUS_COLOURS = dict(zip(PARTS["shared"]["statuses"], PARTS["picture"]["status_colours"], strict=True))


def run_report(folder, *options):
    return CliRunner().invoke(main, ["report", str(folder), *map(str, options)])


@pytest.fixture
def folder(tmp_path):
    for index in range(2):
        write_result(tmp_path, make_result(index))
    return tmp_path


def test_pictures_alone_are_drawn_again_into_the_same_folder_and_replace_no_other_file(folder, tmp_path):
    run_id, place = make_result(0).run_id, tmp_path / "pictures"
    words = folder, "--png", place, "--run", run_id
    for _ in range(2):
        done = run_report(*words)
        assert done.exit_code == 0, done.output
    names = {path.name for path in place.iterdir()}
    assert {f"{run_id}.loss.png", f"{run_id}.recall.png", "epoch_loss.png", "comparison.png"} <= names
    assert not {name for name in names if name.startswith("quickstart-") and run_id not in name}
    assert f"pictures: {place}: " in done.output and "epoch_loss.png" in done.output
    with Image.open(place / f"{run_id}.loss.png") as picture:
        assert picture.width > 1000 and len(picture.convert("RGB").getcolors(2**24)) > 20
    (place / "memory.png").write_bytes(PNG)
    done = run_report(*words)
    assert done.exit_code == 2 and "memory.png: there is a file of another kind" in done.output
    assert (place / "memory.png").read_bytes() == PNG


def test_every_chart_has_its_picture(report):
    pictures = {path.stem: path.read_bytes() for path in report.glob("*.png")}
    of_runs = {name for name in pictures if name.startswith("quickstart-")}
    assert len(of_runs) == 2 * 6
    # These results have no meter's figures, no gradient norms and no check of numerics.
    without = {"power", "temperature", "memory_in_use", "grad_norm", "check_loss", "check_norm"}
    measured = {chart.name for chart in CHARTS} - without
    drawn = measured | {"comparison", "history_recall_mean", "history_throughput"}
    assert set(pictures) - of_runs == drawn
    assert all(data.startswith(PNG) and len(data) > 2000 for data in pictures.values())
    assert {"epoch_loss", "epoch_recall"} <= drawn


def has_colour(picture, colour):
    red, green, blue = bytes.fromhex(colour[1:])
    there = {found for _, found in picture.convert("RGB").getcolors(1 << 24)}
    return any(abs(r - red) + abs(g - green) + abs(b - blue) <= 6 for r, g, b in there)


def test_pictures_keep_the_colour_of_every_run(report):
    """They are saved in few colours."""
    with Image.open(report / "epoch_loss.png") as picture:
        assert all(has_colour(picture, colour) for colour in ("#ffffff", *RUN_COLOURS[:6]))
        assert not has_colour(picture, RUN_COLOURS[6])


def test_one_failure_in_three_hundred_results_is_red_in_the_picture():
    rows = [{"x": x, "value": 90, "status": "fail" if x == 99 else "pass", "band": False} for x in range(300)]
    drawn = vl_convert.vegalite_to_png(history_chart("date", "", "", fixed=True, rows=rows), scale=1)
    with Image.open(io.BytesIO(fewer_colours(drawn))) as picture:
        assert has_colour(picture, STATUS_COLOURS["fail"])


def test_the_curves_are_those_of_the_result():
    result = make_result(epochs=3)
    specs = {name.rpartition(".")[2]: spec for name, spec in run_curves(result)}
    losses = [(row["epoch"], row["colour"], row["value"]) for row in specs["loss"]["data"]["values"]]
    assert losses == [
        (r.epoch, name, value)
        for r in result.epochs
        for name, value in (("train", r.train_loss), ("validation", r.val_loss))
    ]
    recalls = {(row["epoch"], row["colour"], row["dash"]): row["value"] for row in specs["recall"]["data"]["values"]}
    assert len(recalls) == 3 * 8
    assert recalls[3, "R@10", "text to image"] == result.epochs[-1].recall["image_recall@10"]
    assert recalls[2, "mean", "image to text"] == result.epochs[1].recall["text_recall_mean"]


def test_a_run_that_is_not_there_and_a_folder_that_is_a_file_are_named(folder, tmp_path):
    done = run_report(folder, "--png", tmp_path / "pictures", "--run", "none")
    assert done.exit_code == 2 and "--run none: no such result" in done.output
    (tmp_path / "taken").write_text("")
    done = run_report(folder, "--png", tmp_path / "taken")
    assert done.exit_code == 2 and "--png" in done.output and "is a file" in done.output


def test_a_result_with_nothing_to_draw_has_no_picture_and_that_is_said(tmp_path):
    write_result(
        tmp_path, failed(replace(make_result(), epochs=(), metrics=type(make_result().metrics)(), query_ranks=None))
    )
    done = run_report(tmp_path, "--png", tmp_path / "pictures")
    assert done.exit_code == 0 and "nothing to draw" in done.output


def test_without_a_folder_to_write_to_the_options_are_named(folder):
    done = run_report(folder)
    assert done.exit_code == 2 and "--out" in done.output and "--png" in done.output
