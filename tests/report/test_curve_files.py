"""`clipbench report --png`: the loss and the recall curves of runs as files."""

from dataclasses import replace

import pytest
from click.testing import CliRunner
from PIL import Image

from clipbench.cli import main
from clipbench.report import curve_files
from clipbench.results.result import write_result
from tests.support.report_results import failed, make_result


def report(folder, *options):
    return CliRunner().invoke(main, ["report", str(folder), *map(str, options)])


@pytest.fixture
def folder(tmp_path):
    for index in range(2):
        write_result(tmp_path, make_result(index))
    return tmp_path


def test_the_newest_run_gets_two_pictures_and_no_page(folder, tmp_path):
    done = report(folder, "--png", tmp_path / "curves")
    assert done.exit_code == 0, done.output
    run_id = make_result(1).run_id
    names = sorted(path.name for path in (tmp_path / "curves").iterdir())
    assert names == [f"{run_id}.loss.png", f"{run_id}.recall.png"]
    for name in names:
        assert f"curves: {tmp_path / 'curves' / name}" in done.output
        with Image.open(tmp_path / "curves" / name) as picture:
            assert picture.width > 1000 and len(picture.convert("RGB").getcolors(2**24)) > 20


def test_the_curves_are_those_of_the_result(tmp_path):
    result = make_result(epochs=3)
    specs = dict(curve_files._curves(result))
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


def test_a_run_can_be_named(folder, tmp_path):
    run_id = make_result(0).run_id
    done = report(folder, "--png", tmp_path / "curves", "--run", run_id)
    assert done.exit_code == 0 and (tmp_path / "curves" / f"{run_id}.loss.png").exists()
    assert report(folder, "--png", tmp_path / "curves", "--run", "none").exit_code == 2


def test_a_result_without_curves_has_none_and_that_is_said(tmp_path):
    write_result(
        tmp_path, failed(replace(make_result(), epochs=(), metrics=type(make_result().metrics)(), query_ranks=None))
    )
    done = report(tmp_path, "--png", tmp_path / "curves")
    assert done.exit_code == 4 and "nothing was drawn" in done.output


def test_without_a_folder_to_write_to_the_options_are_named(folder):
    done = report(folder)
    assert done.exit_code == 2 and "--out" in done.output and "--png" in done.output
