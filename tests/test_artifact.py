"""Artifacts: inputs in every form, saving, loading, manifest, report."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from penjing.compiler.artifact import Artifact, load
from penjing.compiler.errors import CompileError
from penjing.compiler.input_arrays import as_arrays, as_result
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.manifest import Manifest, TensorEntry

from .hand_written import assert_matches, example_input, make_artifact


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return make_artifact(weights="file")


def entry(name: str, dtype: str, *shape: int) -> TensorEntry:
    return TensorEntry(name=name, spec=TensorSpec(shape, dtype))


TWO = [entry("ids", "int64", 2), entry("mask", "bool", 2, 2)]
IDS, MASK = np.array([3, 4]), np.array([[True, False], [True, True]])


@pytest.mark.parametrize(
    ("inputs", "by_name"),
    [
        ((IDS, MASK), {}),
        ((torch.tensor([3, 4]), torch.tensor(MASK)), {}),
        (({"mask": MASK, "ids": IDS},), {}),
        ((), {"mask": MASK, "ids": IDS}),
        ((IDS,), {"mask": MASK}),
        (((IDS, [MASK], None),), {}),
        ((IDS, torch.tensor(MASK).T.contiguous().T), {}),
    ],
)
def test_inputs_come_in_many_forms(inputs: tuple[object, ...], by_name: dict[str, object]) -> None:
    ids, mask = as_arrays(inputs, by_name, TWO)
    np.testing.assert_array_equal(ids, IDS)
    np.testing.assert_array_equal(mask, MASK)
    assert mask.flags.c_contiguous


@pytest.mark.parametrize(
    ("inputs", "by_name", "message"),
    [
        ((IDS,), {}, "takes 2 inputs: ids i64[2], mask bool[2,2]\n  got  1 by position"),
        ((IDS, MASK, IDS), {}, "got  3 by position"),
        ((IDS,), {"masks": MASK}, "got  1 by position, masks="),
        ((IDS, MASK), {"mask": MASK}, "got  2 by position, mask="),
        ((IDS.astype(np.int32), MASK), {}, "input ids must be i64[2]\n  got  int32[2]"),
        ((IDS, MASK[0]), {}, "input mask must be bool[2,2]\n  got  bool[2]"),
        ((torch.zeros(2), MASK), {}, "input ids must be i64[2]\n  got  float32[2]"),
    ],
)
def test_wrong_inputs_are_explained(
    inputs: tuple[object, ...], by_name: dict[str, object], message: str
) -> None:
    with pytest.raises(CompileError) as raised:
        as_arrays(inputs, by_name, TWO)
    assert message in str(raised.value)


def test_bfloat16_travels_as_float32_or_bits() -> None:
    spec = entry("x", "bfloat16", 3)
    values = torch.tensor([1.0, -2.5, 3.14159])
    bits = values.to(torch.bfloat16)
    for given in (bits, values, values.numpy()):
        (array,) = as_arrays((given,), {}, [spec])
        assert array.dtype == np.uint16
        np.testing.assert_array_equal(as_result(array, spec.spec), bits.float().numpy())


def test_numbers_and_read_only_arrays_are_inputs() -> None:
    x = np.float32(2)
    (array,) = as_arrays((x,), {}, [entry("x", "float32")])
    assert array.shape == ()
    fixed = np.broadcast_to(np.float32(3), (4,))
    (array,) = as_arrays((fixed,), {}, [entry("x", "float32", 4)])
    assert array.tolist() == [3, 3, 3, 3]


def test_an_artifact_runs_after_saving_and_loading(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "new" / "folder")
    loaded = load(tmp_path / "new" / "folder")
    assert loaded.manifest == artifact.manifest
    x = example_input()
    assert_matches(loaded.run(x), x)
    assert loaded.profile(x).total > 0
    files = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert files == {
        "libmodel.so",
        "libmodel.a",
        "model.h",
        "model.c",
        "model.json",
        "model.weights",
    }


def test_a_file_of_many_blocks_is_saved_whole(artifact: Artifact, tmp_path: Path) -> None:
    block = 1 << 24
    content = np.random.default_rng(0).bytes(2 * block + 5)
    (tmp_path / "large").write_bytes(content)
    for file in (*artifact.manifest.files, "model.json"):
        (tmp_path / file).symlink_to(artifact.folder / file)
    files = {**artifact.manifest.files, "large": ""}
    manifest = replace(artifact.manifest, files=files)
    replace(artifact, folder=tmp_path, manifest=manifest).save(tmp_path / "copy")
    assert (tmp_path / "copy" / "large").read_bytes() == content


def test_a_loaded_artifact_can_be_saved_over_itself(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path)
    load(tmp_path).save(tmp_path)
    assert load(tmp_path).manifest == artifact.manifest


def test_a_failed_save_leaves_the_old_files(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path)
    missing = {**artifact.manifest.files, "no-such-file": ""}
    broken = replace(artifact, manifest=replace(artifact.manifest, files=missing))
    with pytest.raises(CompileError, match="cannot write the artifact"):
        broken.save(tmp_path)
    assert load(tmp_path).manifest == artifact.manifest
    assert not list(tmp_path.glob(".penjing-*"))


def test_a_file_cannot_be_the_folder(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CompileError, match="cannot write"):
        artifact.save(tmp_path / "file")


def test_several_models_share_a_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_artifact(name=name).save(tmp_path)
    with pytest.raises(CompileError, match=r"one\.json, two\.json"):
        load(tmp_path)
    assert load(tmp_path / "two.json").manifest.name == "two"


def test_what_is_no_artifact_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="no manifest"):
        load(tmp_path)
    (tmp_path / "other.json").write_text('{"format": "penjing-artifact", "format_version": 99}')
    with pytest.raises(CompileError, match="version 99"):
        load(tmp_path)
    (tmp_path / "other.json").unlink()
    artifact.save(tmp_path)
    with (tmp_path / "libmodel.so").open("ab") as library:
        library.write(b"x")
    with pytest.raises(CompileError, match=r"libmodel\.so is missing or is not the one"):
        load(tmp_path)


def test_the_manifest_survives_json_and_names_no_place_or_time(artifact: Artifact) -> None:
    path = artifact.folder / "model.json"
    assert Manifest.read(path) == artifact.manifest
    content = json.loads(path.read_text())
    assert content["inputs"] == [
        {"name": "x0", "dtype": "float32", "shape": [3, 5], "bytes": 60},
    ]
    assert set(content["tools"]) >= {"penjing", "torch", "apache-tvm", "c compiler"}
    text = path.read_text()
    assert str(artifact.folder) not in text
    assert "seconds" not in text
    assert "/tmp" not in text


def test_the_report_has_the_numbers(artifact: Artifact) -> None:
    report = artifact.report
    assert report.library_bytes == (artifact.folder / "libmodel.so").stat().st_size
    assert 100 < report.code_bytes < report.library_bytes
    assert (report.weights_bytes, report.arena_bytes, report.macs) == (192, 64, 60)
    assert report.arena_lower_bound_bytes == 64
    assert [row.kernel for row in report.kernels] == ["model_k0", "model_k1", "model_k2"]
    assert json.loads(json.dumps(report.to_json()))["kernels"][0]["macs"] == 60
    text = str(report).splitlines()
    assert text[0] == "model for host"
    assert text[-3].split() == ["model_k0", "1", "60", "204", "B", "test.model_k0:", "layer0"]


def test_a_report_shows_times_where_they_are_known(artifact: Artifact) -> None:
    row = {"name": "fuse", "options": {}, "contract": "exact", "rewrites": 3, "skips": [{}]}
    timed = replace(
        artifact,
        manifest=replace(artifact.manifest, passes=(row,)),
        pass_seconds=[0.012],
        stage_seconds={"trace": 1.25},
    )
    text = str(timed.report)
    assert "seconds  trace 1.2" in text
    assert ["fuse", "3", "1", "12"] in [line.split() for line in text.splitlines()]


def test_a_dropped_artifact_takes_its_files_along() -> None:
    temporary = make_artifact()
    folder = temporary.folder
    temporary.run(example_input())
    threads_before = threading.active_count()
    del temporary
    assert not folder.exists()
    assert threading.active_count() == threads_before
